"""What a training step minimizes: every loss of docs/method.md, "Training", from one batch."""

import copy
from dataclasses import replace
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from spnet import distributed
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
from spnet.training.host_copy import copy_to_host
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
        embeddings = network.embed(features, *annotated.places)
        candidates, qualifies = annotated, torch.zeros_like(rows, dtype=torch.bool)  # of annotated ones, none again
        if self.config.detection:
            path = self._path(network, features, embeddings, targets)
            last = self._detection(network, path, features, targets, losses)
            if self.config.reid_box_source == "all":
                candidates, qualifies = self._reid_candidates(last, features, targets)
        # how many boxes qualify decides shapes; the teacher's features are made while the answer is on its way
        counts = copy_to_host(
            torch.stack([qualifies.sum(), _most_of_an_identity(targets, candidates.target, qualifies)])
        )
        teacher = None if self.teacher is None else partial(self.teacher.embed, self.teacher.features(batch))
        count, repeats = counts()
        regions = [annotated]
        if candidates is not annotated:
            detected = _first(candidates, qualifies, count)
            regions = [detected, annotated]
            embeddings = torch.cat([network.embed(features, *detected.places), embeddings])
        losses["reid"] = self.memory.step(embeddings, batch, regions, teacher, repeats)
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
            candidates = step.candidates
            positive = candidates.positive & candidates.valid
            losses[f"box_{number}"] = giou_loss(step.decoded, _target_boxes(step, targets), positive)
            if step.logits is not None:
                losses[f"class_{number}"] = cascade_bce_loss(step.logits, candidates.positive, candidates.valid)
        return steps[-1]

    def _reid_candidates(self, last: CascadeStage, features: FeatureMaps, targets: Targets) -> tuple[Regions, Tensor]:
        """Detected boxes, and which of them (M,) train re-id."""
        candidates = last.candidates
        boxes = clip(last.decoded.detach(), features.sizes[candidates.scene])
        close = overlaps(boxes, _target_boxes(last, targets)) >= self.config.reid_iou
        qualifies = close & candidates.valid & (candidates.target >= 0)
        if self.config.pathway == "query":
            qualifies = _draw(qualifies, candidates.group, self.config.reid_samples_per_pair)
        return Regions(boxes, candidates.scene, candidates.target), qualifies


def _first(regions: Regions, mask: Tensor, count: int) -> Regions:
    """The `count` regions that are marked (M,), in their order; `nonzero` would ask the device how many there are."""
    index = (~mask).to(torch.uint8).argsort(stable=True)[:count]
    return Regions(regions.boxes[index], regions.scene[index], regions.target[index])


def _most_of_an_identity(targets: Targets, target: Tensor, qualifies: Tensor) -> Tensor:
    """() the most boxes of a known identity: annotated ones (N,) and those that qualify of target (M,), all ranks."""
    zeros = torch.zeros(len(targets.identity) + 1, dtype=torch.int64, device=target.device)  # the last: no target
    boxes = distributed.gather(1 + zeros.index_add(0, target % len(zeros), qualifies.long())[:-1])
    identity = distributed.gather(targets.identity)
    same = (identity[:, None] == identity) & (identity >= 0)
    return torch.cat([(same * boxes).sum(1), zeros[:1]]).max()


def freeze_unused(network: SPNet, config: ObjectiveConfig) -> None:
    """Let no parameter wait for a gradient that never comes: several processes share those of all others."""
    unused: list[nn.Module] = []
    if config.pathway == "query":
        unused.append(network.bridges)
    elif network.config.cascade_steps == 0:
        unused.append(network.locations)
    if not config.detection:
        unused += [network.anchors, network.anchor_logit, network.bridges, network.locations]
        unused += [network.logits, network.boxes, *network.fpn.beside_finest()]
    for module in unused:
        module.requires_grad_(False)


def compile_parts(network: SPNet, objective: SPNetLoss, backend: str = "inductor") -> None:
    """Let torch.compile fuse what is heavy, each part one graph; in place, so that no name of a parameter changes."""
    parts: list[nn.Module] = [network.backbone, network.fpn, network.anchors]
    heads: list[nn.Module] = [network.reid, *network.locations]
    if objective.teacher is not None:
        parts.append(objective.teacher.backbone)
        heads.append(objective.teacher.reid)
    # not whole heads: their normalization changes its statistics in place, twice before a step's backward pass
    parts += [head.get_submodule("pooling.last_stage") for head in heads]
    for part in parts:
        part.compile(backend=backend)


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
