"""Validation while a run trains: what it measures, that it changes nothing, and what it keeps."""

import csv
import itertools
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors import safe_open

from small_dataset import make_dataset, options
from spnet.cli.main import main
from spnet.config.io import override
from spnet.config.presets import get_preset
from spnet.config.schema import RunConfig, Stage
from spnet.data.dataloader import TrainingLoader
from spnet.data.dataset import PersonSearchDataset
from spnet.data.schema import Annotations, read_annotations
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.extract import ExtractionConfig, extract_arrays
from spnet.evaluation.metrics_file import read_metrics
from spnet.models.checkpoints import load_network, read_weights
from spnet.models.spnet import SPNet
from spnet.runs.folder import BEST, CURVES, LAST, VALIDATION_CURVES
from spnet.runs.record import read_record
from spnet.training import validation
from spnet.training.module import TrainingModule
from spnet.training.transfer import build_network
from spnet.training.validation import make_measure, preserve_state, validation_interval, validation_split

EPOCHS, EPOCH_STEPS = 3, 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with a split `val`: that of `test` under another name."""
    root = make_dataset(tmp_path_factory.mktemp("validated"))
    for folder in ("annotations", "retrieval"):
        shutil.copy(root / folder / "test.json", root / folder / "val.json")
    return root


def train(data: Path, run: Path, *further: str, stage: str = "finetune", pathway: str = "object", **keys: Any) -> int:
    command = ["train", "spnet-tiny", "--stage", stage, "--pathway", pathway, "--data", str(data), "--output", str(run)]
    return main([*command, *further, *options(**{"optimizer__epochs": EPOCHS} | keys)])


def rows(run: Path) -> list[dict[str, float]]:
    with (run / VALIDATION_CURVES).open() as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def about(file: Path) -> dict[str, Any]:
    with safe_open(file, "pt") as content:
        return dict(json.loads(content.metadata()["spnet"]))


def assert_same_state(first: Path, second: Path) -> None:
    """Weights, teacher and memories are equal to the bit."""
    one, other = (torch.load(run / LAST, weights_only=True) for run in (first, second))
    assert set(one["state_dict"]) == set(other["state_dict"])
    assert all(torch.equal(value, other["state_dict"][name]) for name, value in one["state_dict"].items())
    assert (first / "weights.safetensors").read_bytes() == (second / "weights.safetensors").read_bytes()
    curves = [run / CURVES for run in (first, second) if (run / CURVES).exists()]  # of ten steps or more
    assert len({file.read_text() for file in curves}) <= 1
    assert len(curves) in (0, 2)


KINDS = [("finetune", "object"), ("finetune", "query"), ("pretrain", "query"), ("pretrain", "object")]


@pytest.mark.parametrize(("stage", "pathway"), KINDS)
def test_a_validated_run_has_the_weights_of_one_that_is_not(
    stage: str, pathway: str, data: Path, small_data: Path, tmp_path: Path
) -> None:
    keys = {"optimizer__epochs": 4, "model__backbone__drop_path": 0.2}  # and something random in the step
    for name, root in (("validated", data), ("not", small_data)):
        assert train(root, tmp_path / name, stage=stage, pathway=pathway, **keys) == 0
    assert_same_state(tmp_path / "validated", tmp_path / "not")
    assert (tmp_path / "validated" / BEST).exists()
    assert not (tmp_path / "not" / BEST).exists()
    records = [read_record(tmp_path / name) for name in ("validated", "not")]
    assert records[0]
    assert records[1]
    assert records[0].fingerprint == records[1].fingerprint


@pytest.mark.parametrize("pathway", ["object", "query"])
def test_metrics_are_those_of_evaluate(pathway: str, data: Path, small_run: Path, tmp_path: Path) -> None:
    """Of a network that has learned to find people, so that none is 0."""
    run = tmp_path / "run"
    further = ["--val-split", "test", "--weights", str(small_run)]
    assert train(data, run, *further, pathway=pathway, optimizer__epochs=8) == 0
    assert main(["evaluate", str(run), "--pathway", pathway]) == 0
    metrics = read_metrics(run / "evaluation" / f"data-test-{pathway}" / "metrics.json", "test")
    (row,) = rows(run)
    names = {"recall": "recall", "ap": "AP@0.5", "mAP": "mAP", "top1": "top-1"}
    assert row.pop("step") == {"object": 24, "query": 48}[pathway]
    assert row == pytest.approx({own: metrics[name] / 100 for own, name in names.items()}, rel=1e-4)
    assert row["mAP"] > 0.1


def test_held_out_losses_are_those_of_the_same_views(data: Path) -> None:
    """Naively: each batch with the same random numbers, nobody known, nobody remembered."""
    config = override(get_preset("spnet-tiny", "pretrain"), options=options(data__root=data))
    torch.manual_seed(1)
    network, _ = build_network(config)
    module = TrainingModule(config, network, 0, 3)
    loader = held_out(config, data)
    measure = make_measure(config)
    assert measure is not None
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.random.get_rng_state()
    measured = measure(module)
    assert measured == measure(module)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module.network.training
    module.eval()
    sums: dict[str, float] = {}
    for batch in loader:
        torch.manual_seed(config.seed)
        with torch.no_grad():
            losses = module.objective(module.network, batch)
        module.load_state_dict(before)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0) + float(value)
    expected = {f"loss/{name}": value / len(loader) for name, value in sums.items()}
    assert measured == pytest.approx(expected | {"loss": sum(expected.values())})


def held_out(config: RunConfig, data: Path) -> TrainingLoader:
    annotations = read_annotations(data / "annotations" / "val.json")
    scenes = PersonSearchDataset(annotations, config.data.augmentation, config.seed, True, 0)
    return TrainingLoader(scenes, 2, 0, config.seed)


def test_state_is_preserved() -> None:
    norm = torch.nn.BatchNorm1d(2)
    module = torch.nn.Sequential(norm, torch.nn.Dropout())
    state = torch.random.get_rng_state()
    with preserve_state(module):
        assert not module.training
        torch.rand(3)
        norm.get_buffer("running_mean").add_(1)
    assert module.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert norm.get_buffer("running_mean").tolist() == [0, 0]


def test_curve_tensorboard_and_progress(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    assert train(data, run) == 0
    curve = rows(run)
    assert [row["step"] for row in curve] == [3, 6, 9]
    assert list(curve[0]) == ["step", "recall", "ap", "mAP", "top1"]
    events = EventAccumulator(str(run / "logs"))
    events.Reload()
    logged = events.Scalars("val/mAP")
    assert [event.step for event in logged] == [3, 6, 9]
    assert [event.value for event in logged] == pytest.approx([row["mAP"] for row in curve], rel=1e-4)
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch 2/3"))
    shown = " ".join(f"{name} {value:.3f}" for name, value in curve[1].items() if name != "step")
    assert f"  val {shown}  " in line


@pytest.mark.parametrize(
    ("further", "keys", "expected"),
    [
        ([], {}, [1, 2, 3, 4, 5]),
        ([], {"validation__every_n_epochs": 2}, [2, 4, 5]),
        (["--val-split", "test"], {}, [5]),
        (["--val-split", "test", "--val-protocol", "listed"], {"validation__every_n_epochs": 3}, [3, 5]),
    ],
)
def test_when_a_run_is_validated(
    further: list[str], keys: dict[str, Any], expected: list[int], data: Path, tmp_path: Path
) -> None:
    assert train(data, tmp_path / "run", *further, optimizer__epochs=5, **keys) == 0
    assert [row["step"] // EPOCH_STEPS for row in rows(tmp_path / "run")] == expected


def test_defaults_depend_on_the_data_set(data: Path, small_data: Path, tmp_path: Path) -> None:
    for stage in get_args(Stage):
        config = override(get_preset("spnet-tiny", stage), options=options(data__root=data))
        assert (validation_split(config), validation_interval(config)) == ("val", 1)
        assert validation_split(override(config, options=["--data.root", str(small_data)])) is None
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "retrieval" / "val.json").unlink()
    moved = ["--data.root", str(tmp_path / "data")]
    assert validation_split(override(config, options=moved)) is None  # nobody is searched for
    assert validation_split(override(config, options=[*moved, "--stage", "pretrain"])) == "val"


def set_metrics(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """What successive epochs are said to measure."""

    def measure(config: RunConfig) -> Any:
        return lambda module: {"mAP": values[module.global_step // EPOCH_STEPS - 1], "top1": 0.5}

    monkeypatch.setattr("spnet.training.trainer.make_measure", measure)


@pytest.mark.parametrize(("patience", "last"), [(0, 6), (1, 3), (2, 6), (3, 6)])
def test_best_weights_and_early_stopping(
    patience: int, last: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [0.2, 0.4, 0.3, 0.6, 0.6, 0.1]
    set_metrics(monkeypatch, values)
    run = tmp_path / "run"
    keys: dict[str, Any] = {"optimizer__epochs": 6, "validation__patience": patience, "checkpoint__every_n_epochs": 1}
    assert train(data, run, **keys) == 0
    assert len(rows(run)) == last
    epochs = sorted((run / "checkpoints").glob("epoch_*.safetensors"))
    assert [file.name for file in epochs] == [f"epoch_{epoch:04}.safetensors" for epoch in range(1, last + 1)]
    best = 2 if last == 3 else 4  # the first of equals
    assert about(run / BEST)["metric"] == {"mAP": values[best - 1]}
    assert about(run / BEST)["epoch"] == best
    kept, then, final = (read_weights(file).state for file in (run / BEST, epochs[best - 1], epochs[-1]))
    assert all(torch.equal(value, then[name]) for name, value in kept.items())
    assert all(torch.equal(value, final[name]) for name, value in read_weights(run).state.items())
    assert any(not torch.equal(value, final[name]) for name, value in kept.items())


def test_in_pre_training_the_lowest_loss_is_the_best(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(data, run, stage="pretrain", pathway="query") == 0
    curve = rows(run)
    assert all(row["loss"] == pytest.approx(sum(v for k, v in row.items() if "/" in k), rel=1e-4) for row in curve)
    lowest = min(curve, key=lambda row: row["loss"])
    assert about(run / BEST)["epoch"] == lowest["step"] // 6


def interrupt_measuring(monkeypatch: pytest.MonkeyPatch, epoch: int, number: int) -> None:
    """A signal comes in the middle of a validation."""
    calls = itertools.count(1)

    def extract(network: SPNet, annotations: Annotations, how: ExtractionConfig) -> EvaluationArrays:
        if next(calls) == epoch:
            os.kill(os.getpid(), number)
        return extract_arrays(network, annotations, how)

    monkeypatch.setattr(validation, "extract_arrays", extract)


@pytest.fixture(scope="module")
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    assert train(data, run) == 0
    return run


@pytest.mark.parametrize("epoch", [1, EPOCHS])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_validation_loses_nothing(
    epoch: int,
    number: int,
    uninterrupted: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_measuring(patch, epoch, number)
        assert train(data, run) == 130
    assert capsys.readouterr().err.endswith(f"spnet train: interrupted; go on with: spnet train --resume {run}\n")
    assert torch.load(run / LAST, weights_only=True)["global_step"] == epoch * EPOCH_STEPS
    assert main(["train", "--resume", str(run)]) == 0
    assert (run / "weights.safetensors").read_bytes() == (uninterrupted / "weights.safetensors").read_bytes()
    for file in (VALIDATION_CURVES, BEST, CURVES):
        if (uninterrupted / file).exists():
            assert (run / file).read_bytes() == (uninterrupted / file).read_bytes()


PATIENT_METRICS = [0.5, 0.4, 0.3, 0.6, 0.7]
PATIENT: dict[str, Any] = {"optimizer__epochs": 5, "validation__patience": 2}


@pytest.fixture(scope="module")
def patient(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose patience is over after the third epoch."""
    run = tmp_path_factory.mktemp("patient") / "run"
    with pytest.MonkeyPatch.context() as patch:
        set_metrics(patch, PATIENT_METRICS)
        assert train(data, run, **PATIENT) == 0
    return run


@pytest.mark.parametrize("step", [2, 4, 5, 7])
def test_the_best_and_the_patience_survive(
    step: int, patient: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in a step; 2 and 5 are the last of an epoch."""
    set_metrics(monkeypatch, PATIENT_METRICS)
    original = TrainingModule.training_step

    def training_step(self: TrainingModule, batch: Any, index: int) -> torch.Tensor:
        if self.global_step == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", training_step)
        assert train(data, tmp_path / "run", **PATIENT) == 130
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert [row["step"] for row in rows(tmp_path / "run")] == [3, 6, 9]
    assert_same_state(tmp_path / "run", patient)
    for file in (VALIDATION_CURVES, BEST):
        assert (tmp_path / "run" / file).read_bytes() == (patient / file).read_bytes()


def test_a_resumed_run_whose_patience_was_over_stops(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its last checkpoint, before its weights were written."""
    set_metrics(monkeypatch, [0.5, 0.4, 0.6])
    run = tmp_path / "run"
    assert train(data, run, validation__patience=1) == 0
    weights = (run / "weights.safetensors").read_bytes()
    (run / "weights.safetensors").unlink()
    assert main(["train", "--resume", str(run)]) == 0
    assert (run / "weights.safetensors").read_bytes() == weights
    assert len(rows(run)) == 2


def test_fine_tuning_starts_from_the_weights_of_an_epoch(data: Path, tmp_path: Path) -> None:
    before = tmp_path / "before"
    assert train(data, before, stage="pretrain", pathway="query", checkpoint__every_n_epochs=2) == 0
    file = before / "checkpoints" / "epoch_0002.safetensors"
    assert [path.name for path in file.parent.glob("*.safetensors")] == [file.name]
    assert about(file)["epoch"] == 2
    assert train(data, tmp_path / "after", "--weights", str(file), optimizer__epochs=1, optimizer__lr=0.0) == 0
    state, start = read_weights(tmp_path / "after").state, read_weights(file).state
    assert torch.equal(state["anchors.embed.weight"], start["anchors.embed.weight"])


def test_the_teacher_is_kept_and_evaluated(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(data, run, stage="pretrain", pathway="query", checkpoint__teacher="true") == 0
    state = torch.load(run / LAST, weights_only=True)["state_dict"]
    kept = load_network(run / "teacher.safetensors").state_dict()
    for part, source in {"backbone": "objective.teacher", "fpn": "objective.teacher", "anchors": "network"}.items():
        names = [name for name in kept if name.startswith(f"{part}.")]
        assert all(torch.equal(kept[name], state[f"{source}.{name}"]) for name in names)
        assert any(not torch.equal(kept[name], state[f"network.{name}"]) for name in names) == (source != "network")
    command = ["evaluate", str(run / "teacher.safetensors"), "--data", str(data), "--output", str(tmp_path / "metrics")]
    assert main(command) == 0
    assert (tmp_path / "metrics" / "metrics.json").is_file()


MISTAKES = [
    (["--val-split", "nope"], {}, "has no split 'nope'; it has ['test', 'train', 'val']"),
    (["--val-protocol", "nope", "--val-split", "val"], {}, "has no protocol 'nope'; it has listed, test, val"),
    (
        ["--val-split", "train", "--val-protocol", "test"],
        {},
        "validation on split 'train': protocol test: no split",
    ),
    ([], {"validation__monitor": "loss"}, "validation.monitor is 'loss'; choose mAP, top1, ap, recall to finetune"),
    ([], {"validation__monitor": "AP"}, "validation.monitor is 'AP': "),
    ([], {"validation__every_n_epochs": 0}, "validation.every_n_epochs is '0': should be greater than 0"),
    (["--data.root", "SMALL"], {"validation__patience": 2}, "validation.patience needs a split to validate on"),
]


@pytest.mark.parametrize(("further", "keys", "message"), MISTAKES)
def test_mistakes_are_one_line_before_training(
    further: list[str],
    keys: dict[str, Any],
    message: str,
    data: Path,
    small_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = small_data if "SMALL" in further else data
    further = [] if "SMALL" in further else further
    assert train(root, tmp_path / "run", *further, **keys) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[-1].startswith("spnet train: error: ")
    assert message in errors[-1]
    assert not (tmp_path / "run").exists()
