"""Whole runs of a miniature network: what they leave behind, that they learn, and that they repeat themselves."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from golden import assert_golden_figures
from miniature import make_network
from small_dataset import TRAIN_SCENES, make_dataset, options
from spnet.cli.main import main
from spnet.config.io import override
from spnet.config.presets import get_preset
from spnet.files import LOCK
from spnet.models.checkpoints import read_weights, save_weights
from spnet.models.spnet import SPNet
from spnet.runs.folder import CONFIG_NAME, CURVES, LAST, PREVIOUS, read_run_config
from spnet.runs.record import RECORD_NAME, read_record
from spnet.training.curves import LossCurves
from spnet.training.objective import SPNetLoss
from spnet.training.trainer import precision_of
from spnet.training.transfer import build_network
from spnet.types import SceneBatch


def train(
    data: Path, output: Path, *arguments: str, stage: str = "finetune", pathway: str = "object", **keys: Any
) -> int:
    """`spnet train` with a miniature network."""
    command = [
        "train",
        "spnet-tiny",
        "--stage",
        stage,
        "--pathway",
        pathway,
        "--data",
        str(data),
        "--output",
        str(output),
    ]
    return main([*command, *arguments, *options(**keys)])


def read_curves(run: Path) -> list[dict[str, float]]:
    with (run / CURVES).open() as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def test_a_run_leaves_its_files(small_run: Path, small_data: Path) -> None:
    there = {path.relative_to(small_run).as_posix() for path in small_run.rglob("*") if path.is_file()}
    events = {name for name in there if name.startswith("logs/events.out.tfevents.")}
    evaluations = {name for name in there if name.startswith("evaluation/")}  # of other tests
    files = {
        LOCK,
        CONFIG_NAME,
        RECORD_NAME,
        "weights.safetensors",
        LAST.as_posix(),
        PREVIOUS.as_posix(),
        CURVES.as_posix(),
        "logs/hparams.yaml",
    }
    assert there - events - evaluations == files
    assert len(events) == 1
    config = read_run_config(small_run)
    keys = options(optimizer__epochs=30, data__root=small_data)
    assert config == override(get_preset("spnet-tiny", "finetune"), options=keys)
    weights = read_weights(small_run)
    assert (weights.config, weights.pathway) == (config.model, "object")


def test_losses_are_finite_and_fall(small_run: Path) -> None:
    curves = read_curves(small_run)
    steps = 30 * (TRAIN_SCENES // 4)
    assert [row["step"] for row in curves] == list(range(10, steps + 1, 10))
    assert set(curves[0]) == {"step", "loss/anchor_class", "loss/box_0", "loss/reid", "loss/total"}
    for row in curves:
        parts = [value for name, value in row.items() if name not in ("step", "loss/total")]
        assert all(math.isfinite(value) and value >= 0 for value in parts)
        assert row["loss/total"] == pytest.approx(sum(parts), rel=1e-4)
    first, last = ([row["loss/anchor_class"] for row in part] for part in (curves[:3], curves[-3:]))
    assert sum(last) < 0.5 * sum(first)
    first, last = ([row["loss/total"] for row in part] for part in (curves[:3], curves[-3:]))
    assert sum(last) < 0.7 * sum(first)


STORED = [("finetune", "object", 4), ("pretrain", "query", 2)]
TOLERANCE = 1e-3


@pytest.mark.parametrize(("stage", "pathway", "epochs"), STORED)
def test_losses_are_as_they_were(stage: str, pathway: str, epochs: int, small_data: Path, tmp_path: Path) -> None:
    """The stored losses of a seed guard against changes that nobody meant."""
    losses = stored_losses(stage, pathway, epochs, small_data, tmp_path)
    assert_golden_figures(golden_file(stage, pathway), losses, TOLERANCE)


def stored_losses(stage: str, pathway: str, epochs: int, data: Path, folder: Path, **further: Any) -> dict[str, float]:
    """Losses at the tenth step: so little is learned until then that no rounding of a processor grows.

    The network's weights are random, but large: what is sampled matters.
    """
    network = make_network(location_dim=16, reid_dim=16, anchor_size=16)
    save_weights(folder / "initial.safetensors", network, "object")
    samples = {"objective__samples_per_image": 8, "objective__num_pairs": 6, "objective__samples_per_pair": 8}
    keys = {"optimizer__epochs": epochs, "optimizer__lr": 1e-7, "objective__reid_iou": 0.5} | samples | further
    weights = ["--weights", str(folder / "initial.safetensors")]
    assert train(data, folder / "run", *weights, stage=stage, pathway=pathway, **keys) == 0
    (row,) = read_curves(folder / "run")
    return {name: value for name, value in row.items() if name != "step"}


def golden_file(stage: str, pathway: str) -> Path:
    return Path(__file__).parent / f"losses_{stage}_{pathway}.json"


@pytest.mark.parametrize(("stage", "pathway", "epochs"), STORED)
@pytest.mark.parametrize("change", ["weight", "sampling"])
def test_stored_losses_differ_after_a_change(
    change: str,
    stage: str,
    pathway: str,
    epochs: int,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A loss of another weight, and other random numbers in the step, are noticed."""
    forward = SPNetLoss.forward

    def changed(self: SPNetLoss, network: SPNet, batch: SceneBatch) -> dict[str, torch.Tensor]:
        if change == "sampling":
            torch.rand(1)
        losses = forward(self, network, batch)
        return {name: 1.01 * value if change == "weight" else value for name, value in losses.items()}

    monkeypatch.setattr(SPNetLoss, "forward", changed)
    losses = stored_losses(stage, pathway, epochs, small_data, tmp_path)
    assert losses != pytest.approx(json.loads(golden_file(stage, pathway).read_text()), rel=TOLERANCE)


def test_the_same_seed_gives_the_same_run_and_another_another(small_data: Path, tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        assert train(small_data, tmp_path / name, seed=seed, optimizer__epochs=2) == 0
    first, second, third = (read_weights(tmp_path / name).state for name in ("first", "second", "third"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["anchors.embed.weight"], third["anchors.embed.weight"])


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_change_nothing(num_workers: int, small_data: Path, tmp_path: Path) -> None:
    for name, count in (("alone", 0), ("helped", num_workers)):
        assert train(small_data, tmp_path / name, data__num_workers=count, stage="pretrain", pathway="query") == 0
    alone, helped = (read_weights(tmp_path / name).state for name in ("alone", "helped"))
    assert all(torch.equal(value, helped[name]) for name, value in alone.items())


def test_a_frozen_backbone_does_not_change_and_the_rest_does(small_data: Path, tmp_path: Path) -> None:
    keys = options(optimizer__freeze_backbone="true")
    assert train(small_data, tmp_path / "run", optimizer__freeze_backbone="true") == 0
    assert train(small_data, tmp_path / "free") == 0
    frozen, free = read_weights(tmp_path / "run").state, read_weights(tmp_path / "free").state
    initial = initial_state(read_run_config(tmp_path / "run").seed, keys)
    backbone = [name for name in frozen if name.startswith("backbone.")]
    assert all(torch.equal(frozen[name], initial[name]) for name in backbone)
    assert any(not torch.equal(free[name], initial[name]) for name in backbone)
    for part in ("fpn.", "anchors.", "reid.pooling.", "boxes."):
        names = [name for name in frozen if name.startswith(part)]
        assert any(not torch.equal(frozen[name], initial[name]) for name in names)


def initial_state(seed: int, keys: list[str]) -> dict[str, torch.Tensor]:
    """What a run of this seed starts from: `fit` seeds, then builds the network."""
    torch.manual_seed(seed)
    network, _ = build_network(override(get_preset("spnet-tiny", "finetune"), options=keys))
    return dict(network.state_dict())


def test_the_teacher_follows_slowly(small_data: Path, tmp_path: Path) -> None:
    keys = {"objective__ema_decay": 0.9, "optimizer__epochs": 2}
    assert train(small_data, tmp_path / "run", stage="pretrain", pathway="query", **keys) == 0
    state = torch.load(tmp_path / "run" / LAST, weights_only=True)["state_dict"]
    initial = initial_state(0, options())
    name = "fpn.net.inner_blocks.0.0.weight"
    teacher, student = state[f"objective.teacher.{name}"], state[f"network.{name}"]
    moved, way = (teacher - initial[name]).norm(), (student - initial[name]).norm()
    assert 0 < moved < 0.8 * way


def test_pre_training_then_fine_tuning_with_two_cascade_steps(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(small_data, tmp_path / "pre", stage="pretrain", pathway="query") == 0
    larger: dict[str, Any] = {"model__heads": "separate", "model__cascade_steps": 2, "model__reid_dim": 24}
    weights = ["--weights", str(tmp_path / "pre")]
    assert train(small_data, tmp_path / "fine", *weights, **larger, weights__replicate="true") == 0
    assert f"weights {tmp_path / 'pre'}: " in capsys.readouterr().err
    assert read_weights(tmp_path / "fine").config.reid_dim == 24
    wider: dict[str, Any] = {"model__backbone__model_kwargs": "{depths: [1, 1, 1, 1], dims: [8, 12, 20, 24]}"}
    assert train(small_data, tmp_path / "wrong", *weights, **larger, **wider) == 2
    message = capsys.readouterr().err
    assert "do not fit: " in message
    assert "--weights.partial true" in message
    assert not (tmp_path / "wrong").exists()


def test_a_person_twice_in_a_scene_is_told_once(tmp_path: Path) -> None:
    data = make_dataset(tmp_path, twice=True)
    with pytest.warns(UserWarning, match="4 boxes of this epoch share a scene") as warned:
        assert train(data, tmp_path / "run", pathway="query", data__augmentation__name="wrs", optimizer__epochs=2) == 0
    told = [str(warning.message) for warning in warned if "share a scene" in str(warning.message)]
    assert len(told) == 1


def test_object_centric_training_has_nothing_to_tell(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    assert train(make_dataset(tmp_path, twice=True), tmp_path / "run") == 0
    assert not [warning for warning in recwarn if "share a scene" in str(warning.message)]


@pytest.mark.parametrize(
    ("gpu", "bfloat16", "expected"),
    [(True, True, "bf16-mixed"), (True, False, "16-mixed"), (False, True, "bf16-mixed"), (False, False, "32-true")],
)
def test_automatic_precision(gpu: bool, bfloat16: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": bfloat16}, raising=False)
    assert precision_of("auto") == expected
    assert precision_of("32-true") == "32-true"


def test_precision_and_checkpoints_by_the_step(small_data: Path, tmp_path: Path) -> None:
    # larger crops: of a level of one pixel torch's bfloat16 convolutions give no gradients on CPUs
    keys: dict[str, Any] = {"optimizer__precision": "bf16-mixed", "data__augmentation__crop_size": 96}
    assert train(small_data, tmp_path / "run", checkpoint__every_n_steps=2, **keys) == 0
    assert all(value.isfinite().all() for value in read_weights(tmp_path / "run").state.values())


def test_a_run_says_where_its_results_are(small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(small_data, tmp_path / "run") == 0
    printed = capsys.readouterr()
    assert f"weights: {tmp_path / 'run' / 'weights.safetensors'}\n" in printed.out
    assert "weights: backbone none, the rest random" in printed.err
    assert "epoch 1/1  loss " in printed.err


def test_a_run_that_diverges_before_a_checkpoint_leaves_its_record_and_curve(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(small_data, tmp_path / "run", optimizer__lr=1e30) == 2
    assert (
        "error: training diverged: 2 of the 3 steps of epoch 1 were skipped; images: train" in capsys.readouterr().err
    )
    record = read_record(tmp_path / "run")
    assert record is not None
    assert record.state == "diverged"
    assert record.reason.startswith("training diverged: 2 of the 3 steps")
    assert not [file for pattern in ("*.ckpt", "*.safetensors") for file in (tmp_path / "run").rglob(pattern)]
    assert train(small_data, tmp_path / "run") == 2
    assert capsys.readouterr().err.endswith("exists; choose another folder\n")


def test_the_curve_of_a_run_that_diverges_in_its_first_epoch_is_kept(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LossCurves.__init__, "__defaults__", (1,))
    assert train(small_data, tmp_path / "run", optimizer__lr=1e30) == 2
    lines = (tmp_path / "run" / CURVES).read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["step", "1", "2", "3"][: len(lines)]
    assert len(lines) >= 3
