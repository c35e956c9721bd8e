"""`spnet runs` as a person types it: everything there is in one table, what is wrong below it, exit status 0."""

import csv
import re
from pathlib import Path

import pytest
from rich.console import Console

from invented_runs import evaluate, interrupt, make_run
from spnet.cli import runs as runs_command
from spnet.cli.main import main
from spnet.evaluation.metrics_file import EVALUATOR_VERSION
from spnet.paper.results.runs_table import COLUMNS, list_runs


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs, the second with metrics of another evaluator, the third interrupted."""
    folder = tmp_path / "some runs"
    evaluate(make_run(folder / "a", seed="1"), mAP=0.3)
    evaluate(make_run(folder / "b"), mAP=0.4, version=EVALUATOR_VERSION + 1)
    evaluate(interrupt(make_run(folder / "c & d")), mAP=0.2)
    return folder


def test_everything_is_printed_the_best_first(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(runs), "--sort", "mAP"]) == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines if "object" in out and line and line[-1] in ("weights", "config")] == [
        "b",
        "a",
        "c",
    ]
    assert "40.0*" in out
    assert "30.0 " in out
    assert out.startswith(f"3 runs below {runs}; all: pathway object, stage fine-tuning, architecture c0-share-d128, ")
    assert "\nc & d: interrupted after step 120, or still running; go on with: " in out
    assert f"\n* measured with another version of the evaluator than {EVALUATOR_VERSION}\n" in out
    heading = next(line for line in out.splitlines() if "GT mAP" in line)
    assert "seed" in heading
    assert "backbone" not in heading  # the same for all, said above


def test_one_run_has_all_its_columns(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(runs / "a")]) == 0
    heading = capsys.readouterr().out.splitlines()[2]
    assert heading.split() == [word for name in COLUMNS for word in name.split()] + ["files"]


def test_links_lead_to_configuration_and_weights(runs: Path) -> None:
    table, _ = runs_command._table(list_runs(runs)[0])
    links = {segment.style.link for segment in Console(width=300).render(table) if segment.style and segment.style.link}
    files = [*runs.glob("*/config.yaml"), *runs.glob("*/weights.safetensors")]
    assert links == {file.as_uri() for file in files}
    assert len(links) == 5


def test_csv_has_all_columns_and_values_as_they_are(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = runs.parent / "runs.csv"
    assert main(["runs", str(runs), "--sort", "mAP", "--csv", str(file)]) == 0
    assert capsys.readouterr().out.endswith(f"table: {file}\n")
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [*COLUMNS, "folder"]
    assert [row["run"] for row in rows] == ["b", "a", "c & d"]
    assert [float(row["mAP"]) for row in rows] == pytest.approx([40, 30, 20])
    assert [row["hours"] for row in rows] == ["2.5", "2.5", ""]
    assert [row["folder"] for row in rows] == [str(runs / row["run"]) for row in rows]


MISTAKES = [
    (["{}/missing"], "missing: no such folder"),
    (["{}/a/logs"], "no run is there"),
    (["{}", "--sort", "x"], "--sort x: there is no such column; choose 'run', "),
    (["{}", "--csv", "{}/no/runs.csv"], "runs.csv: cannot be written"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES)
def test_mistakes_are_one_line(arguments: list[str], said: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", *(part.format(runs) for part in arguments)]) == 2
    printed = capsys.readouterr()
    assert re.fullmatch(rf"spnet runs: error: .*{re.escape(said)}.*\n", printed.err)
    assert printed.out == ""
