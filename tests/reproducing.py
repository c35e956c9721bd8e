"""`spnet reproduce` at miniature size: the command, and what is put in the place of the small scale."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from miniature_scale import miniature_scale
from spnet.config.schema import RunConfig
from spnet.paper import execute, reproduce
from spnet.training import fit as training


def shrink_small_scale(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--scale small` is miniature, and its classifier is there at once."""

    def train_classifier(backbone: Any, file: Path) -> float:
        shutil.copy(classifier, file)
        return 0.25

    monkeypatch.setattr(reproduce, "train_classifier", train_classifier)
    monkeypatch.setattr(reproduce, "small_scale", miniature_scale)


def command(data: Path, folder: Path, *further: str, table: str = "table8") -> list[str]:
    places = ["--runs", str(folder / "runs"), "--results", str(folder / "results")]
    return ["reproduce", table, "--data", f"synthetic={data}", "--scale", "small", *places, *further]


def forbid_training(monkeypatch: pytest.MonkeyPatch, but: Path | None = None) -> None:
    """Nothing is to be trained, but for what lies there."""

    def fit(config: RunConfig, output: Path, resume: bool) -> Path:
        assert output == but
        return training.fit(config, output, resume)

    monkeypatch.setattr(execute, "fit", fit)
