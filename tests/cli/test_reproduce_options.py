"""Options of `spnet reproduce`: every configuration shown without data, and every mistake in one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from spnet.cli.main import main
from spnet.config.io import parse
from spnet.config.schema import RunConfig
from spnet.paper.figures import PAPER_TABLES

pytestmark = pytest.mark.usefixtures("small_scale_is_miniature")


def test_print_config_shows_every_configuration_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = ["--data", "cocopersons=coco", "cuhk-sysu=cuhk", "prw=prw"]
    assert main(["reproduce", "table5", *data, "--print-config"]) == 0
    plan, _, documents = capsys.readouterr().out.partition("--- # ")
    assert "Table 5: Initialisation before fine-tuning (SPNet-S); 0 trainings at scale paper\n" in plan
    for name in ("cocopersons=coco", "cuhk-sysu=cuhk"):
        assert f": --data {name}: no data set prepared by `spnet prepare` is there\n" in plan
    shown = {}
    for document in documents.split("--- # "):
        title, _, text = document.partition("\n")
        shown[title] = parse(RunConfig, yaml.safe_load(text), title)
    rows = [row.name for row in PAPER_TABLES["table5"].rows]
    assert set(shown) == {f"table5, {row}: fine-tuning on {data}" for row in rows for data in ("CUHK-SYSU", "PRW")} | {
        f"table5, {row}: pre-training on COCOPersons" for row in rows[2:]
    }
    prw = shown["table5, Ours-QC: fine-tuning on PRW"]
    assert (prw.data.root, prw.data.train_split, prw.objective.queue_size) == ("prw", "trainval", 500)
    assert shown["table5, Random Init.: fine-tuning on PRW"].model.backbone.weights == "none"
    assert shown["table5, Ours-OC: pre-training on COCOPersons"].objective.pathway == "object"
    assert list(tmp_path.iterdir()) == []


def test_print_config_of_synthetic_scenes_renders_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["--rows", "FixedNorm Logits (-)"]
    assert main(["reproduce", "table9", *rows, "--data", "synthetic", "--scale", "small", "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("--- # ") == 1
    assert "--- # table9, FixedNorm Logits (-): fine-tuning on synthetic scenes\n" in printed
    assert list(tmp_path.iterdir()) == []


REAL = ["cocopersons=a", "prw=b"]
MISTAKES = [
    (["table10", "--data", *REAL], "there is no table or figure 'table10'; choose main, table3, table4"),
    (["table9", "--data", *REAL, "--rows", "Best"], "table9 has no row 'Best'; choose 'BatchNorm Logits (+)', "),
    (
        ["table5", "--data", "coco=a"],
        "--data coco: unknown; choose cocopersons, cuhk-sysu, prw, each with =DIR",
    ),
    (["table5", "--data", "prw"], "--data prw: where is it? prw=DIR, made by spnet prepare prw"),
    (["table5", "--data", "prw="], "--data prw=: nothing after ="),
    (["table5", "--data", "prw=a", "prw=b"], "--data prw: given twice"),
    (
        ["table5", "--data", "synthetic", "prw=a"],
        "--data synthetic stands for all data sets: it cannot be given",
    ),
    (
        ["table5", "--data", "synthetic=none"],
        "--data synthetic=none: there is nothing; without =DIR scenes are rendered",
    ),
    (["table5"], "the following arguments are required: --data"),
    (["table5", "--data", *REAL, "--scale", "large"], "argument --scale: invalid choice: 'large' (choose from "),
    (["table5", "--data", *REAL, "--seeds", "0", "-1"], "--seeds -1: must be 0 or more"),
    (["table5", "--data", *REAL, "--seeds", "x"], "argument --seeds: invalid int value: 'x'"),
    (["table5", "--data", *REAL, "--jobs", "0"], "--jobs 0: must be 1 or more"),
    (["table5", "--data", *REAL, "--jobs", "two"], "argument --jobs: invalid int value: 'two'"),
    (["table5", "--data", *REAL, "--slurm", "gpu"], "--slurm gpu: expected KEY=VALUE"),
    (["table3", "--data", *REAL, "--backbone-weights", "a=b"], "--backbone-weights a: unknown; choose solider, "),
    (["table3", "--data", *REAL, "--backbone-weights", "solider"], "--backbone-weights solider: expected KEY=VALUE"),
    (["table5", "--data", *REAL, "--what"], "unrecognized arguments: --what"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_are_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status: Any = main(["reproduce", *arguments])
    except SystemExit as ended:
        status = ended.code
    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    assert printed.err.startswith(f"spnet reproduce: error: {message}")
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
