"""Loggers by name: what each leaves behind, and one line for a package that is not installed."""

import csv
import sys
from pathlib import Path
from types import ModuleType

import pytest

from small_dataset import options
from spnet.cli.main import main
from spnet.runs.folder import CURVES
from spnet.training import loggers


def train(data: Path, run: Path, name: str) -> int:
    command = ["train", "spnet-tiny", "--data", str(data), "--output", str(run), "--logger", name]
    return main([*command, *options(optimizer__epochs=4)])


@pytest.mark.parametrize(
    ("name", "files"), [("tensorboard", {"events", "hparams.yaml"}), ("csv", {"csv"}), ("none", set())]
)
def test_what_a_logger_writes(
    name: str, files: set[str], small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(small_data, tmp_path / "run", name) == 0
    there = {file.name for file in (tmp_path / "run" / "logs").iterdir()}
    assert {file.split(".out")[0] for file in there} == files | {"metrics.csv"}
    assert (tmp_path / "run" / CURVES).read_text().startswith("step,loss/anchor_class,")
    assert ("tensorboard --logdir" in capsys.readouterr().out) == (name == "tensorboard")


def test_lightnings_csv_has_the_losses_too(small_data: Path, tmp_path: Path) -> None:
    assert train(small_data, tmp_path / "run", "csv") == 0
    with (tmp_path / "run" / "logs" / "csv" / "version_0" / "metrics.csv").open() as stream:
        (row,) = [row for row in csv.DictReader(stream) if row["loss/total"]]
    own = list(csv.DictReader((tmp_path / "run" / CURVES).open()))
    assert float(row["loss/total"]) == pytest.approx(float(own[0]["loss/total"]), rel=1e-4)


@pytest.mark.parametrize(("name", "wanted"), [("wandb", "wandb"), ("mlflow", "mlflow")])
def test_a_package_that_is_missing_is_named(
    name: str,
    wanted: str,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda package: None)
    assert train(small_data, tmp_path / "run", name) == 2
    assert (
        capsys.readouterr().err == f"spnet train: error: logger {name} needs the package {name}: pip install {wanted}\n"
    )
    assert not (tmp_path / "run").exists()


def test_a_package_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda package: ModuleType(package).__spec__ or sys.__spec__)
    made: list[tuple[object, ...]] = []
    monkeypatch.setattr(loggers, "WandbLogger", lambda *given, **options: made.append((*given, options)))
    monkeypatch.setattr(loggers, "MLFlowLogger", lambda *given, **options: made.append((*given, options)))
    for name in ("wandb", "mlflow"):
        loggers.check_logger(name)
        loggers.make_loggers(name, tmp_path / "run")
    logs = tmp_path / "run" / "logs"
    assert made == [("run", logs, {"project": "spnet"}), ("spnet", "run", {"save_dir": str(logs / "mlflow")})]


def test_an_unknown_name(small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(small_data, tmp_path / "run", "comet") == 2
    assert "logger is 'comet': should be 'tensorboard', 'csv', 'wandb', 'mlflow' or 'none'" in capsys.readouterr().err
