"""What a training step minimizes: every loss of docs/method.md, "Training", from one batch."""

import copy
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from spnet.config.schema import ObjectiveConfig
from spnet.errors import UserError
from spnet.losses.detection import anchor_focal_loss, cascade_bce_loss, giou_loss
from spnet.losses.distillation import distillation_loss
from spnet.losses.reid import Regions, build_reid_loss
from spnet.models.backbone import Backbone
from spnet.models.boxes import clip, overlaps
from spnet.models.cascade import CascadeStage, gather_candidates, train_steps
from spnet.models.fpn import FeatureMaps
from spnet.models.matching import IGNORED
from spnet.models.pathways import SwapPathway
from spnet.models.sampling import count_duplicates
from spnet.models.spnet import SPNet
from spnet.training.teacher import Teacher
from spnet.types import SceneBatch, Targets

Losses = dict[str, Tensor]


class SPNetLoss(nn.Module):
    """The losses and everything they remember between steps: re-id memory, teacher, the backbone's initial classifier.

    Args:
        config: what is trained.
        network: the student; a teacher starts as its copy.
        identities: known identities of the data (rows of the OIM table).

    Raises:
        UserError: `lwf` without a classifier, or an unknown re-id loss.
    """

    repeated: Tensor  # () int64, boxes so far that were no query of their scene, having the same person in it

    def __init__(self, config: ObjectiveConfig, network: SPNet, identities: int) -> None:
        super().__init__()
        self.config = config
        self.memory = build_reid_loss(config.reid_loss, config, identities, network.config.reid_dim)
        self.teacher = (
            Teacher(network, config.ema_decay, config.teacher_drop_path) if self.memory.needs_teacher else None
        )
        self.initial_backbone = _frozen_copy(network.backbone) if config.lwf else None
        self.register_buffer("repeated", torch.zeros((), dtype=torch.int64), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """As always, but the initial backbone stays in evaluation mode, unless `frozen_mode` says otherwise."""
        super().train(mode)
        if self.initial_backbone is not None:
            self.initial_backbone.train(mode and self.config.frozen_mode == "train")
        return self

    def forward(self, network: SPNet, batch: SceneBatch) -> Losses:
        """The losses of a batch by name; their sum is to be minimized. Updates the re-id memory."""
        losses: Losses = {}
        batch = replace(batch, images=network.backbone.normalize(batch.images, batch.sizes))  # once, for all networks
        targets = batch.targets
        features = self._features(network, batch, losses)
        rows = torch.arange(len(targets.boxes), device=targets.boxes.device)
        annotated = Regions(targets.boxes, targets.scene, rows)
        annotated_embeddings = network.embed(features, *annotated.places)
        regions, embeddings = [annotated], [annotated_embeddings]
        if self.config.detection:
            path = self._path(network, features, annotated_embeddings, targets)
            last = self._detection(network, path, features, targets, losses)
            if self.config.reid_box_source == "all":
                detected = self._reid_boxes(last, features, targets)
                regions.insert(0, detected)
                embeddings.insert(0, network.embed(features, *detected.places))
        losses["reid"] = self.memory.step(torch.cat(embeddings), batch, regions, self.teacher)
        return losses

    def _features(self, network: SPNet, batch: SceneBatch, losses: Losses) -> FeatureMaps:
        if self.initial_backbone is None:
            return network.features(batch.images, batch.sizes)
        features, classes = network.features_with_classes(batch.images, batch.sizes)
        with torch.no_grad():
            _, initial = self.initial_backbone.forward_with_classes(batch.images)
        losses["lwf"] = distillation_loss(classes, initial, self.config.lwf_loss)
        return features

    def _path(self, network: SPNet, features: FeatureMaps, annotated: Tensor, targets: Targets) -> SwapPathway:
        config = self.config
        if config.pathway == "object":
            return network.object_pathway(config.samples_per_image)
        self.repeated += count_duplicates(targets, len(features.sizes))
        shared = network.config.heads == "shared"
        queries = annotated if shared else network.location_embed(1, features, targets.boxes, targets.scene)
        return network.query_pathway(queries, config.num_pairs, config.samples_per_pair, config.pair_anchors)

    def _detection(
        self, network: SPNet, pathway: SwapPathway, features: FeatureMaps, targets: Targets, losses: Losses
    ) -> CascadeStage:
        """Adds the losses of classes and boxes; returns the last step."""
        anchors = network.anchor_table(features)
        groups = pathway.training_groups(targets, len(features.sizes))
        distances = pathway.distances(anchors, groups)
        matches = pathway.match(anchors, targets, groups)
        counted = (matches != IGNORED) & groups.valid[:, None]
        losses["anchor_class"] = anchor_focal_loss(network.anchor_logit(distances), matches >= 0, counted)
        index, valid = pathway.sample_anchors(matches, distances, anchors, targets, groups)
        candidates = gather_candidates(pathway, anchors, groups, index, valid, matches)
        steps = train_steps(network, pathway, features, candidates, groups, targets)
        for number, step in enumerate(steps):
            losses[f"box_{number}"] = self._box_loss(step, targets)
            if step.logits is not None:
                candidates = step.candidates
                losses[f"class_{number}"] = cascade_bce_loss(step.logits, candidates.positive, candidates.valid)
        return steps[-1]

    def _box_loss(self, step: CascadeStage, targets: Targets) -> Tensor:
        positive = step.candidates.positive & step.candidates.valid
        return giou_loss(step.decoded, _target_boxes(step, targets), positive)

    def _reid_boxes(self, last: CascadeStage, features: FeatureMaps, targets: Targets) -> Regions:
        """Detected boxes that train re-id."""
        candidates = last.candidates
        boxes = clip(last.decoded.detach(), features.sizes[candidates.scene])
        close = overlaps(boxes, _target_boxes(last, targets)) >= self.config.reid_iou
        qualifies = close & candidates.valid & (candidates.target >= 0)
        if self.config.pathway == "query":
            qualifies = _draw(qualifies, candidates.group, self.config.reid_samples_per_pair)
        # how many boxes qualify decides shapes: here, and in the memories' updates, a step waits for the GPU
        index = qualifies.nonzero()[:, 0]
        return Regions(boxes[index], candidates.scene[index], candidates.target[index])


def _target_boxes(step: CascadeStage, targets: Targets) -> Tensor:
    """The box (M, 4) each candidate is compared with; an empty box where there is none."""
    row = step.candidates.target
    boxes = torch.cat([targets.boxes, targets.boxes.new_zeros(1, 4)])
    return boxes[torch.where(row >= 0, row, len(targets.boxes))]


def _draw(mask: Tensor, group: Tensor, count: int) -> Tensor:
    """Keep at most `count` marked rows (M,) of each group, at random."""
    chance = torch.rand(mask.shape, device=mask.device)
    # sorted by group, marked rows first, in random order
    order = (group * 4 + torch.where(mask, chance, 2 + chance)).argsort()
    first = torch.searchsorted(group[order].contiguous(), group[order].contiguous())
    rank = torch.arange(len(mask), device=mask.device) - first
    return mask & torch.zeros_like(mask).scatter(0, order, rank < count)


def _frozen_copy(backbone: Backbone) -> Backbone:
    if not backbone.has_classifier:
        raise UserError("objective.lwf True needs a network that keeps the backbone's classifier (with_classifier)")
    return copy.deepcopy(backbone).requires_grad_(False).eval()
