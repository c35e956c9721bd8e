"""`spnet list` as a person types it: all tables with costs, the paper's figures and one's own."""

from pathlib import Path

import pytest

from spnet.cli.main import main
from spnet.paper.figures import PAPER_TABLES


def test_experiments_lists_everything(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    for key, table in PAPER_TABLES.items():
        assert f"  spnet reproduce {key} --data synthetic --scale small\n" in printed
        for row in table.rows:
            assert row.name in printed
    assert main(["list", "--table", "8", "--results", str(made / "results")]) == 0
    printed = capsys.readouterr().out
    assert "own results: scale miniature, seeds 0, 1, " in printed
    assert "±" in printed
    assert "table9" not in printed


def test_experiments_tells_costs_and_the_papers_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row costs its pre-training and a fine-tuning on each data set (Table 4)."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    for option, value, row, figures, cost in [
        ("--table", "5", "Classifier", "CUHK-SYSU: mAP 91.9, GT mAP 95.8, AP@0.5 83.2", "4"),
        ("--table", "5", "Ours-OC", "CUHK-SYSU: mAP 92.8, GT mAP 96.3, AP@0.5 83.9", "24.5 + 4"),
        ("--table", "main", "SPNet-L", "CUHK-SYSU: mAP 96.4", "46.5 + 13.5"),
        ("--table", "4", "SPNet-L, OC", "COCOPersons: hours 40.5", "40.5"),
        ("--figure", "7", "Mixed LR, QC", "PRW: mAP 55.6, top-1 89.5", "30 + 1.5"),
        ("--figure", "8", "c2-sep-d2048, PT-Rep", "", "30 + 2.5"),
    ]:
        assert main(["list", option, value]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith(row)]
        assert figures in line
        assert line.strip().endswith(f" {cost}")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"rows": []}', "null"])
def test_experiments_names_a_damaged_result(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "table5.json").write_text(content)
    assert main(["list", "--table", "5", "--results", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert f"note: {tmp_path / 'table5.json'}: no result of `spnet reproduce` (" in printed
    assert "Ours-QC" in printed


@pytest.mark.parametrize(("option", "value"), [("--table", "7b"), ("--table", "10"), ("--figure", "9")])
def test_experiments_refuses_what_there_is_not(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", option, value]) == 2
    error = capsys.readouterr().err
    assert error.startswith("spnet list: error: there is no table or figure '")
    assert "choose main, table3, table4" in error
    assert error.count("\n") == 1
