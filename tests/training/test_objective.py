"""What a step minimises and remembers: which boxes train re-id, in which order, under which options and precision."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.ops import box_iou

import spnet.training.objective
from miniature import ROWS, make_batch, make_network
from spnet.config.schema import ObjectiveConfig
from spnet.errors import UserError
from spnet.losses.oim import OIM
from spnet.models.backbone import Backbone
from spnet.models.boxes import clip
from spnet.models.cascade import CascadeStage, train_steps
from spnet.models.spnet import SPNet
from spnet.training.objective import SPNetLoss, _draw, freeze_unused
from spnet.types import SceneBatch

OBJECT = ObjectiveConfig(pathway="object", samples_per_image=24, queue_size=6, logit_scale=3.0)
QUERY = ObjectiveConfig(
    pathway="query", num_pairs=9, samples_per_pair=16, reid_loss="contrastive", queue_size=9, logit_scale=10.0
)
PATHS = pytest.mark.parametrize("config", [OBJECT, QUERY], ids=["object", "query"])


class Spy:
    """Sees which boxes the network embeds, and what the steps of a cascade gave."""

    def __init__(self, network: SPNet, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[tuple[Tensor, Tensor]] = []
        self.embeddings: list[Tensor] = []
        self.steps: list[CascadeStage] = []
        embed = network.embed

        def see_boxes(features: Any, boxes: Tensor, scene: Tensor) -> Tensor:
            self.runs.append((boxes, scene))
            self.embeddings.append(embed(features, boxes, scene))
            return self.embeddings[-1]

        def see_steps(*arguments: Any) -> list[CascadeStage]:
            self.steps = train_steps(*arguments)
            return self.steps

        monkeypatch.setattr(network, "embed", see_boxes)
        monkeypatch.setattr(spnet.training.objective, "train_steps", see_steps)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@PATHS
def test_reid_trains_detected_boxes_near_their_target_then_annotated_ones(
    config: ObjectiveConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, batch = make_network(cascade_steps=1), make_batch([*ROWS, (2, (62, 10, 90, 50), 102, -1)])
    spy = Spy(network, monkeypatch)
    config = replace(config, samples_per_image=2000, num_pairs=18, reid_iou=0.3, reid_samples_per_pair=1000)
    SPNetLoss(config, network, identities=2)(network, batch)
    annotated, detected = spy.runs
    assert torch.equal(annotated[0], batch.targets.boxes)
    candidates = spy.steps[-1].candidates
    boxes = clip(spy.steps[-1].decoded.detach(), batch.sizes[candidates.scene])
    expected = []
    for row, (box, target, valid) in enumerate(zip(boxes, candidates.target.tolist(), candidates.valid, strict=True)):
        if valid and target >= 0 and box_iou(box[None], batch.targets.boxes[target][None]).item() >= 0.3:
            expected.append(row)
    assert len(expected) > 3
    assert not candidates.valid.all()  # ignored anchors, and pairs with the person who is there twice
    torch.testing.assert_close(detected[0], boxes[expected])
    assert torch.equal(detected[1], candidates.scene[expected])


def test_background_beside_its_scenes_first_box_trains_reid_too(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = make_network(), make_batch()
    spy = Spy(network, monkeypatch)
    SPNetLoss(replace(OBJECT, reid_iou=0.2), network, identities=2)(network, batch)
    background = spy.steps[-1].candidates
    background_rows = (~background.positive & background.valid).nonzero()[:, 0]
    first = torch.tensor([0, 2, 4])[background.scene[background_rows]]
    assert torch.equal(background.target[background_rows], first)
    boxes = clip(spy.steps[-1].decoded.detach(), batch.sizes[background.scene])[background_rows]
    near = box_iou(boxes, batch.targets.boxes)[torch.arange(len(first)), first] >= 0.2
    assert near.any()
    embedded = {tuple(box) for box in spy.runs[1][0].tolist()}
    assert {tuple(box) for box in boxes[near].tolist()} <= embedded


def test_a_pair_gives_reid_so_many_detected_boxes_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = make_network(), make_batch()
    spy = Spy(network, monkeypatch)
    SPNetLoss(replace(QUERY, reid_iou=0.0, reid_samples_per_pair=3), network, identities=2)(network, batch)
    groups = spy.steps[-1].candidates
    pairs = groups.group[groups.valid & (groups.target >= 0)].unique()
    assert len(spy.runs[1][0]) == 3 * len(pairs)


def test_draws_keep_at_most_so_many_marked_rows_of_each_group() -> None:
    group = torch.arange(40).repeat_interleave(torch.arange(40))
    mask = torch.rand(len(group)) < 0.5
    drawn = _draw(mask, group, 4)
    assert not (drawn & ~mask).any()
    marked, kept = torch.bincount(group[mask], minlength=40), torch.bincount(group[drawn], minlength=40)
    assert torch.equal(kept, marked.clamp(max=4))
    assert not torch.equal(drawn, _draw(mask, group, 4))
    assert _draw(mask[:0], group[:0], 4).shape == (0,)


def test_oim_remembers_after_the_loss_detected_boxes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = make_network(), make_batch()
    objective = SPNetLoss(replace(OBJECT, reid_iou=0.3), network, identities=2)
    objective(network, batch)
    memory = OIM(2, 8, 6, logit_scale=3.0)
    memory.load_state_dict(objective.memory.state_dict())
    spy = Spy(network, monkeypatch)
    loss = objective(network, batch)["reid"]
    annotated, detected = spy.embeddings
    candidates = spy.steps[-1].candidates
    boxes = clip(spy.steps[-1].decoded.detach(), batch.sizes[candidates.scene])
    rows = [int((boxes == box).all(1).nonzero()[0]) for box in spy.runs[1][0]]
    identity = torch.cat([batch.targets.identity[candidates.target[rows]], batch.targets.identity])
    embeddings = torch.cat([detected, annotated])
    torch.testing.assert_close(loss, memory(embeddings, identity))
    memory.update(embeddings, identity)
    for name, value in memory.state_dict().items():
        torch.testing.assert_close(objective.memory.state_dict()[name], value)


def test_the_person_queue_remembers_the_teachers_embeddings_before_the_loss() -> None:
    network, batch = make_network(), make_batch()
    objective = SPNetLoss(replace(QUERY, reid_box_source="gt"), network, identities=2)
    assert objective.teacher is not None
    targets = batch.targets
    taught = objective.teacher.embed(objective.teacher.features(batch), [(targets.boxes, targets.scene)])
    losses = objective(network, batch)
    assert torch.isfinite(losses["reid"])
    memory = objective.memory.state_dict()
    assert memory["persons"].tolist() == [100, 101, 102, *[-1] * 6]
    means = torch.stack([taught[[0, 2]].mean(0), taught[[1, 3]].mean(0), taught[4]])
    torch.testing.assert_close(memory["embeddings"][:3], torch.nn.functional.normalize(means))


@PATHS
def test_annotated_boxes_alone(config: ObjectiveConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = make_network(), make_batch()
    spy = Spy(network, monkeypatch)
    losses = SPNetLoss(replace(config, reid_box_source="gt"), network, identities=2)(network, batch)
    assert set(losses) == {"anchor_class", "box_0", "reid"}
    assert len(spy.runs) == 1
    assert torch.equal(spy.runs[0][0], batch.targets.boxes)


@PATHS
@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], []], ids=["boxes", "one box", "no box"])
def test_reid_alone(config: ObjectiveConfig, rows: list[tuple[Any, ...]]) -> None:
    network, batch = make_network(), make_batch(rows)
    objective = SPNetLoss(replace(config, detection=False), network, identities=2)
    for _ in range(2):
        losses = objective(network, batch)
        assert set(losses) == {"reid"}
        losses["reid"].backward()
    assert all(parameter.grad is None for parameter in network.anchors.parameters())


def test_forgetting_compares_with_the_backbone_as_it_was() -> None:
    network, batch = make_network(with_classifier=True), make_batch()
    objective = SPNetLoss(replace(OBJECT, lwf=True), network, identities=2).train()
    initial = objective.initial_backbone
    assert initial is not None
    assert not initial.training
    assert not any(parameter.requires_grad for parameter in initial.parameters())
    network.zero_grad()
    objective(network, batch)["lwf"].backward()
    head = network.backbone.net.head.fc.weight
    assert head.grad.abs().max() < 1e-5
    with torch.no_grad():
        head.add_(torch.randn_like(head))
    network.zero_grad()
    objective(network, batch)["lwf"].backward()
    assert head.grad.abs().max() > 1e-3
    objective.eval().train()
    assert not initial.training


def test_forgetting_needs_a_classifier() -> None:
    with pytest.raises(UserError, match=r"objective\.lwf.*classifier"):
        SPNetLoss(replace(OBJECT, lwf=True), make_network(), identities=2)


def test_classes_are_those_of_the_initial_backbone_in_evaluation_mode() -> None:
    """A backbone with BatchNorm and stochastic depth would otherwise answer differently at every step."""
    network, batch = make_network(with_classifier=True), make_batch()
    objective = SPNetLoss(replace(OBJECT, lwf=True), network, identities=2).train()
    initial = objective.initial_backbone
    assert initial is not None
    before = {name: value.clone() for name, value in initial.state_dict().items()}
    objective(network, batch)
    after = initial.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


@PATHS
def test_the_same_seed_gives_the_same_losses(config: ObjectiveConfig) -> None:
    network, batch = make_network(), make_batch()
    seen = []
    for _ in range(2):
        torch.manual_seed(3)
        seen.append(SPNetLoss(config, network, identities=2)(network, batch))
    assert {name: value.item() for name, value in seen[0].items()} == {name: v.item() for name, v in seen[1].items()}


@PATHS
@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_half_precision_loses_little(config: ObjectiveConfig, heads: str) -> None:
    """Boxes, distances, logits and memories stay float32 under autocast; features alone are rounded."""
    network, batch = make_network(heads=heads, cascade_steps=1), make_batch()
    results: list[dict[str, float]] = []
    for enabled in (False, True):
        torch.manual_seed(0)
        objective = SPNetLoss(config, network, identities=2)
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            for _ in range(2):
                losses = objective(network, batch)
        torch.stack(list(losses.values())).sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
        assert all(v.dtype in (torch.float32, torch.int64) for v in objective.memory.state_dict().values())
        assert all(value.dtype == torch.float32 for value in losses.values())
        results.append({name: value.item() for name, value in losses.items()})
    assert results[1]["anchor_class"] == pytest.approx(results[0]["anchor_class"], rel=0.03)
    assert results[1]["box_0"] == pytest.approx(results[0]["box_0"], rel=0.05)


class Count(TorchDispatchMode):
    """Counts operator calls: a Python loop over anything makes more of them where there is more of it."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def count(work: Callable[[], object]) -> int:
    with Count() as counter:
        work()
    calls: int = counter.calls
    return calls


def crowds() -> Iterator[SceneBatch]:
    """Few and many boxes, scenes and anchors; no identity is known, since a known one is learnt sample by sample."""
    rows = [(scene, box, person, -1) for scene, box, person, _ in ROWS]
    yield make_batch(rows)
    more = [(s, (4 + n, 6, 34 + n, 60), 1000 * s + n, -1) for s in range(6) for n in range(8)]
    more += [(s, (40, 4, 75, 60), 7, -1) for s in range(6)]
    yield make_batch(more, scenes=6)
    yield make_batch(more, scenes=6, size=(128, 160))


@PATHS
@pytest.mark.parametrize("cascade_steps", [0, 2])
def test_a_step_has_no_loop_over_what_is_in_the_batch(config: ObjectiveConfig, cascade_steps: int) -> None:
    network = make_network(heads="separate", cascade_steps=cascade_steps)
    calls = []
    for times in (1, 3):
        drawn = replace(config, num_pairs=config.num_pairs * times, samples_per_image=config.samples_per_image * times)
        for batch in crowds():
            objective = SPNetLoss(replace(drawn, reid_iou=0.0, queue_size=500), network, identities=2)
            network.anchor_table(network.features(batch.images, batch.sizes))  # its anchors are made once
            calls.append(count(partial(objective, network, batch)))
    # a tensor of another layout may be copied once more
    assert max(calls) - min(calls) <= 4, calls


def test_oim_learns_in_as_many_rounds_as_an_identity_has_samples() -> None:
    """A row is normalized after every sample: they follow one another, but all identities learn at once."""
    memory = OIM(500, 8, 6)

    def calls(identities: int, samples: int) -> int:
        identity = torch.arange(identities).repeat(samples)
        return count(lambda: memory.update(torch.randn(len(identity), 8), identity))

    assert calls(500, 1) == calls(2, 1)
    assert calls(500, 9) == calls(2, 9)
    per_round = calls(2, 3) - calls(2, 2)
    assert calls(2, 9) - calls(2, 2) == 7 * per_round
    assert per_round < 25


@pytest.mark.parametrize("config", [OBJECT, QUERY], ids=["object", "query"])
def test_batch_logits_learn_from_anchors_and_score_by_the_candidates_statistics(config: ObjectiveConfig) -> None:
    """Step 0 has two normalizations: one takes the anchor loss, the other follows the sampled candidates."""
    network = make_network(logit_norm="batch").train()
    objective = SPNetLoss(config, network, identities=2).train()
    torch.stack(list(objective(network, make_batch()).values())).sum().backward()
    trained, scoring = network.anchor_logit, network.logits[0]
    gradient = trained.get_parameter("norm.weight").grad
    assert gradient is not None
    assert gradient.abs() > 0
    assert scoring.get_parameter("norm.weight").grad is None
    assert not scoring.get_parameter("norm.weight").requires_grad
    assert scoring.get_buffer("norm.running_mean") != 0
    assert scoring.get_buffer("norm.running_mean") != trained.get_buffer("norm.running_mean")


def test_images_are_normalized_once_for_all_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Student, teacher and the initial classifier see the same images; floating point passes unchanged."""
    conversions: list[bool] = []
    normalize = Backbone.normalize

    def spy(backbone: Backbone, images: Tensor, sizes: Tensor) -> Tensor:
        conversions.append(not images.is_floating_point())
        return normalize(backbone, images, sizes)

    monkeypatch.setattr(Backbone, "normalize", spy)
    network = make_network(with_classifier=True)
    SPNetLoss(replace(QUERY, lwf=True), network, identities=2)(network, make_batch())
    assert sum(conversions) == 1
    assert len(conversions) > 1


def test_measuring_losses_leaves_the_candidates_statistics_alone() -> None:
    """Losses on held-out images are computed in evaluation mode: they must not change how the network scores."""
    network = make_network(logit_norm="batch").train()
    objective = SPNetLoss(OBJECT, network, identities=2)
    objective(network, make_batch())
    before = {name: value.clone() for name, value in network.logits[0].named_buffers()}
    objective(network.eval(), make_batch())
    for name, value in network.logits[0].named_buffers():
        assert torch.equal(value, before[name]), name


@PATHS
@pytest.mark.parametrize("rows", [ROWS, []], ids=["boxes", "no box"])
@pytest.mark.parametrize("heads", ["shared", "separate"])
@pytest.mark.parametrize("cascade_steps", [0, 2])
@pytest.mark.parametrize("changes", [{}, {"detection": False}, {"reid_box_source": "gt"}, {"reid_loss": "contrastive"}])
def test_what_is_not_frozen_gets_a_gradient_in_every_step(
    config: ObjectiveConfig, rows: list[Any], heads: str, cascade_steps: int, changes: dict[str, Any]
) -> None:
    """Processes that share gradients would wait for one that never comes."""
    config = replace(config, **changes)
    network = make_network(heads=heads, cascade_steps=cascade_steps)
    objective = SPNetLoss(config, network, identities=2)
    freeze_unused(network, config)
    torch.stack(list(objective(network, make_batch(rows)).values())).sum().backward()
    named = dict(network.named_parameters())
    assert [name for name, parameter in named.items() if parameter.requires_grad and parameter.grad is None] == []
    frozen = {name.split(".")[0] for name, parameter in named.items() if not parameter.requires_grad}
    assert ("bridges" in frozen) == (config.pathway == "query" or not config.detection)
