"""The preset of the authors' settings: each key against the formula of what it changes."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from timm.layers.drop import DropPath

from miniature import BACKBONE, make_batch, make_config, make_network
from spnet import distributed
from spnet.cli.main import main
from spnet.config.io import to_plain
from spnet.config.presets import as_released, get_preset
from spnet.config.schema import Augmentation, InferenceConfig, ObjectiveConfig, RunConfig, Stage
from spnet.data.augment import jpeg_scale_for, sample_view, warp, whole_scene
from spnet.data.dataloader import ResumableSampler
from spnet.data.schema import read_annotations
from spnet.evaluation.extract import ExtractionConfig, extract_arrays
from spnet.evaluation.runner import extraction_config
from spnet.losses.distillation import distillation_loss
from spnet.models.boxes import BoxHead
from spnet.models.checkpoints import load_network
from spnet.models.spnet import SPNet
from spnet.runs.folder import read_run_config
from spnet.training.module import TrainingModule
from spnet.training.objective import SPNetLoss
from spnet.training.teacher import Teacher

RELEASED = {
    "data.augmentation.scale_range": [1.5, 3.0],
    "data.augmentation.antialias": False,
    "data.drop_last": False,
    "model.box_init": "torch",
    "model.inference.antialias": False,
    "model.inference.precision": "float16",
    "objective.pair_anchors": "lowest_index",
    "objective.lwf_loss": "binary_cross_entropy",
    "objective.teacher_drop_path": True,
    "objective.ema_update": "before_step",
    "objective.frozen_mode": "train",
}


def flat(content: dict[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in content.items():
        if isinstance(value, dict) and name != "model_kwargs":
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_the_switch_changes_these_keys_and_no_other(stage: Stage) -> None:
    preset = get_preset("spnet-s", stage)
    before, after = flat(to_plain(preset)), flat(to_plain(as_released(preset)))
    assert {key: value for key, value in after.items() if before[key] != value} == RELEASED


def test_the_command_has_the_switch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "spnet-s", "--as-released", "--print-config"]) == 0
    assert "pair_anchors: lowest_index" in capsys.readouterr().out


def test_the_second_half_of_a_pairs_anchors_are_the_lowest_numbered() -> None:
    network, batch = make_network(), make_batch()
    features = network.features(batch.images, batch.sizes)
    anchors, targets = network.anchor_table(features), batch.targets
    queries = network.embed(features, targets.boxes, targets.scene)
    ours = network.query_pathway(queries, 20, 16)
    theirs = network.query_pathway(queries, 20, 16, "lowest_index")
    groups = ours.training_groups(targets, 3)
    distances, matches = ours.distances(anchors, groups), ours.match(anchors, targets, groups)
    near, _ = ours.sample_anchors(matches, distances, anchors, targets, groups)
    low, _ = theirs.sample_anchors(matches, distances, anchors, targets, groups)
    there = groups.target >= 0
    assert there.any()
    assert (~there).any()
    assert torch.equal(near[:, :8], low[:, :8])  # closest by overlap, and the nearest where the person is absent
    assert torch.equal(near[~there], low[~there])
    for row in low[there].tolist():
        expected = [anchor for anchor in range(anchors.count) if anchor not in row[:8]][:8]
        assert sorted(row[8:]) == expected


def test_lwf_is_binary_over_batch_and_classes() -> None:
    torch.manual_seed(0)
    student, initial = torch.randn(3, 5), torch.randn(3, 5)
    ours, theirs = (student / 2).softmax(1), (initial / 2).softmax(1)
    expected = -(theirs * ours.log() + (1 - theirs) * (1 - ours).log()).sum() / 15
    torch.testing.assert_close(distillation_loss(student, initial, "binary_cross_entropy"), expected)


@pytest.mark.parametrize("kept", [True, False])
def test_stochastic_depth_of_the_teacher(kept: bool) -> None:
    network = SPNet(make_config(backbone=replace(BACKBONE, drop_path=0.5)))
    teacher = Teacher(network, 0.9, drop_path=kept)
    rates = {module.drop_prob for module in teacher.modules() if isinstance(module, DropPath)}
    assert (max(rates) > 0) is kept


@pytest.mark.parametrize("when", ["after_step", "before_step"])
def test_when_the_teacher_follows(when: Literal["after_step", "before_step"], monkeypatch: pytest.MonkeyPatch) -> None:
    objective = ObjectiveConfig(reid_loss="contrastive", queue_size=9, ema_decay=0.5, ema_update=when)
    module = TrainingModule(RunConfig(model=make_config(), objective=objective), make_network(), 2, 10)
    parameter = module.network.anchors.embed.get_parameter("bias")
    parameter.grad = torch.zeros_like(parameter)  # a step without gradients is one that was skipped
    events: list[str] = []
    teacher = module.objective.teacher
    assert teacher is not None
    monkeypatch.setattr(teacher, "ema_update", lambda: events.append("teacher"))
    monkeypatch.setattr("lightning.LightningModule.optimizer_step", lambda *_, **__: events.append("student"))
    module.optimizer_step()
    assert events == (["student", "teacher"] if when == "after_step" else ["teacher", "student"])
    assert parameter.requires_grad


def test_box_head_starts_as_torch_does() -> None:
    torch.manual_seed(3)
    head = BoxHead(64, "torch")
    torch.manual_seed(3)
    plain = [torch.nn.Linear(64, 64) for _ in range(4)]
    for ours, theirs in zip(head.mlp[::2], plain, strict=True):
        assert torch.equal(ours.get_parameter("weight"), theirs.weight)
    assert head.deltas.weight.std() > 0.05  # 1 / sqrt(3 · 64), where ours starts at 0.01
    assert BoxHead(64).deltas.weight.std() < 0.02


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_mode_of_frozen_backbones(mode: Literal["eval", "train"]) -> None:
    objective = ObjectiveConfig(frozen_mode=mode, lwf=True, queue_size=4)
    backbone = replace(BACKBONE, model_kwargs=BACKBONE.model_kwargs | {"num_classes": 5})
    network = SPNet(make_config(backbone=backbone), with_classifier=True)
    loss = SPNetLoss(objective, network, identities=2).train()
    assert loss.initial_backbone is not None
    assert loss.initial_backbone.training is (mode == "train")
    loss.eval()
    assert not loss.initial_backbone.training
    run = RunConfig(model=make_config(), objective=replace(objective, lwf=False))
    run = replace(run, optimizer=replace(run.optimizer, freeze_backbone=True))
    module = TrainingModule(run, make_network(), 2, 10).train()
    assert module.network.backbone.training is (mode == "train")


def test_shrinking_without_antialias_is_plain_bilinear() -> None:
    """A checkerboard of single pixels averages to grey; without averaging, a pixel of the view sees two at most."""
    board = np.indices((80, 120)).sum(0) % 2 * 255
    pixels = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    spread = {}
    for antialias in (True, False):
        wrs = Augmentation("wrs", min_size=20, max_size=100, antialias=antialias)
        plan = sample_view(wrs, (120, 80), np.zeros((0, 4)), np.zeros(0, bool), np.random.default_rng(0))
        assert (jpeg_scale_for([plan]) == 1) is not antialias
        spread[antialias] = float(warp(pixels, 1, plan).float().std())
    assert spread[True] < 5
    positions = (np.arange(20) + 0.5) * 4 - 0.5  # halfway: bilinear sees 2 × 2 pixels
    assert np.allclose(positions % 1, 0.5)
    stripes = np.zeros((80, 120, 3), np.uint8)
    stripes[:, 1::4] = 255  # of four columns bilinear sees the middle two, of which this is one
    wrs = Augmentation("wrs", min_size=20, max_size=100, antialias=False)
    plan = sample_view(wrs, (120, 80), np.zeros((0, 4)), np.zeros(0, bool), np.random.default_rng(0))
    assert abs(float(warp(stripes, 1, plan).float().mean()) - 127.5) < 2  # averaging all four would give 64


def test_the_last_partial_batch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    order = ResumableSampler(10, 4, seed=0, drop_last=False)
    keys = [scene for _, scene in order]
    assert len(order) == len(keys) == 10
    assert sorted(keys) == list(range(10))
    order.start = 2
    assert [scene for _, scene in order] == keys[8:]
    shares = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shares.append(list(ResumableSampler(11, 2, 0, 2, drop_last=False)))
    assert len(shares[0]) == len(shares[1]) == 6
    assert {scene for share in shares for _, scene in share} == set(range(11))


def test_evaluation_in_half_precision(small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Close to float32, and not the same."""
    root = Path(read_run_config(small_run).data.root)
    annotations = read_annotations(root / "annotations" / "test.json")
    network = load_network(small_run)
    full, half = (
        extract_arrays(network, annotations, ExtractionConfig(InferenceConfig(64, 96, precision=precision))).gt_emb
        for precision in ("float32", "float16")
    )
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(half, full, atol=0.1 * np.abs(full).max())


def test_every_way_to_look_at_a_scene_follows_the_networks_settings() -> None:
    """Evaluation, validation and latency share one reading of the configuration."""
    inference = as_released(get_preset("spnet-s", "finetune")).model.inference
    network = make_network(inference=inference)
    how = extraction_config(network, batch_size=2)
    assert (how.inference.min_size, how.inference.max_size, how.batch_size) == (900, 1500, 2)
    view = whole_scene(how.inference)
    assert (how.inference.antialias, how.inference.precision, view.antialias) == (False, "float16", False)
    assert (view.min_size, view.max_size) == (900, 1500)
    smaller = extraction_config(network, 64, 96).inference
    assert smaller.antialias is False
    assert whole_scene(smaller) == replace(view, min_size=64, max_size=96)
