"""What a person sees of a run: a bar in a terminal, lines elsewhere, and curves that a resumed run goes on with."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from small_dataset import options
from spnet.cli.main import main
from spnet.training.curves import LossCurves


def make_trainer(step: int, first_process: bool = True) -> Any:
    metrics = {"loss/reid": torch.tensor(step / 8), "loss/total": torch.tensor(2.0)}
    return SimpleNamespace(global_step=step, is_global_zero=first_process, callback_metrics=metrics)


def record(curves: LossCurves, first: int, last: int) -> None:
    curves.on_train_start(make_trainer(first), None)  # type: ignore[arg-type]  # it needs no module
    for step in range(first + 1, last + 1):
        curves.on_train_batch_end(make_trainer(step), None)  # type: ignore[arg-type]  # it needs no module


def test_curves_are_a_table(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "metrics.csv"
    record(LossCurves(file, every=4), 0, 9)
    assert file.read_text() == "step,loss/reid,loss/total\n4,0.5,2\n8,1,2\n"


def test_a_resumed_run_drops_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    record(LossCurves(tmp_path / "whole.csv", 2), 0, 12)
    record(LossCurves(tmp_path / "parts.csv", 2), 0, 9)
    record(LossCurves(tmp_path / "parts.csv", 2), 5, 12)
    assert (tmp_path / "parts.csv").read_text() == (tmp_path / "whole.csv").read_text()


@pytest.mark.parametrize("content", ["", "step,loss/reid,loss/total\n"])
def test_curves_that_were_cut_off_at_their_start(content: str, tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text(content)
    record(LossCurves(file, 2), 0, 4)
    assert file.read_text() == "step,loss/reid,loss/total\n2,0.25,2\n4,0.5,2\n"


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    curves = LossCurves(tmp_path / "metrics.csv", every=1)
    curves.on_train_batch_end(make_trainer(1, first_process=False), None)  # type: ignore[arg-type]  # it needs no module
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_in_a_terminal_and_lines_elsewhere(
    terminal: bool,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if terminal else "0")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    keys = options(optimizer__epochs=2)
    assert main(["train", "spnet-tiny", "--data", str(small_data), "--output", str(tmp_path / "run"), *keys]) == 0
    printed = capsys.readouterr().err
    assert ("epoch 1/2  loss" in printed) != terminal
    assert ("━" in printed) == terminal
    assert ("/6" in printed) == terminal
