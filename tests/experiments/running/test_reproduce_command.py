"""`spnet reproduce` and `spnet experiments` as a person types them: a table from nothing, and nothing done twice."""

import json
import os
import pickle
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_runs import diverge

from miniature_scale import miniature_scale, write_classifier
from spnet.cli import main
from spnet.evaluation.report import EVALUATOR_VERSION
from spnet.experiments.results.outcomes import read_outcome
from spnet.experiments.rows.datasets import drawn_sources
from spnet.experiments.rows.paper_figures import EXHIBITS
from spnet.experiments.running import carry_out, reproduce
from spnet.experiments.running.plan import make_plan
from spnet.experiments.running.side_by_side import Job
from spnet.parsing import parse
from spnet.training import fit as training
from spnet.training.config import RunConfig
from spnet.training.module import TrainingModule
from spnet.training.record import RECORD_NAME

ROWS = ["OC-FT", "OC-FT+PT", "QC-FT", "QC-FT+PT"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("classifier") / "classifier.safetensors")


@pytest.fixture(autouse=True)
def miniature_small_scale(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_small_scale(classifier, monkeypatch)


def shrink_small_scale(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--scale small` is miniature, and its classifier is there at once."""

    def train_classifier(trunk: Any, file: Path) -> float:
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

    monkeypatch.setattr(carry_out, "fit", fit)


@pytest.fixture(scope="module")
def made(drawn_data: Path, classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Table 8 with two seeds, made from nothing; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        shrink_small_scale(classifier, patch)
        assert main(command(drawn_data, folder, "--seeds", "0", "1", "0")) == 0
    return folder


def test_a_table_from_nothing(made: Path) -> None:
    assert {file.name for file in (made / "results").iterdir()} == {"table8.md", "table8.tex", "table8.json"}
    outcome = read_outcome(made / "results" / "table8.json")
    assert [row.name for row in outcome.rows] == ROWS
    for row in outcome.rows:
        assert row.problems == ()
        (figures,) = row.own.values()
        assert set(figures) == {"mAP", "top-1"}
        assert all(len(values) == 2 and all(0 <= value <= 100 for value in values) for values in figures.values())
    assert outcome.rows[0].paper == {"CUHK-SYSU": {"mAP": 91.9, "top-1": 93.2}, "PRW": {"mAP": 52.7, "top-1": 86.6}}
    assert outcome.facts["seeds"] == "0, 1"
    assert outcome.facts["training"].startswith("10 runs, ")
    text = (made / "results" / "table8.md").read_text()
    assert "±" in text
    assert "Gain from PT, QC-FT" in text
    records = [json.loads(file.read_text()) for file in (made / "runs").rglob(RECORD_NAME)]
    assert [record["state"] for record in records] == ["finished"] * 10
    evaluations = sorted(folder.name for folder in (made / "runs").glob("*/evaluation/*"))
    assert evaluations == ["data-test-object"] * 4 + ["data-test-query"] * 4


def test_a_second_call_trains_nothing(
    made: Path, drawn_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though runs were renamed, the data moved, and another table asks."""
    shutil.copytree(made / "runs", tmp_path / "runs")
    folders = [file.parent for file in (tmp_path / "runs").rglob(RECORD_NAME)]
    for number, run in enumerate(folders):
        shutil.move(run, tmp_path / "runs" / "sorted" / f"number {number}")
    data = shutil.copytree(drawn_data, tmp_path / "data")
    forbid_training(monkeypatch)
    monkeypatch.setattr(carry_out, "measure", lambda run, wanted: pytest.fail("nothing is to be measured"))
    assert main(command(data, tmp_path, "--seeds", "0", "1")) == 0
    printed = capsys.readouterr().out
    assert printed.count("  finished     seed ") == 10
    assert "not done" not in printed
    first, second = (json.loads((folder / "results" / "table8.json").read_text()) for folder in (made, tmp_path))
    assert first["rows"] == second["rows"]
    rows = ["--rows", "Classifier", "Ours-QC"]
    assert main(command(data, tmp_path, "--seeds", "0", "1", *rows, table="table5")) == 0
    assert read_outcome(tmp_path / "results" / "table5.json").rows[1].problems == ()


def test_what_is_missing_is_said_and_the_rest_is_written(
    made: Path, drawn_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pre-training that diverged, and a damaged record; nothing else is lost."""
    runs = shutil.copytree(made / "runs", tmp_path / "runs")
    scale = miniature_scale(runs / "classifier.safetensors")
    plan = make_plan(EXHIBITS["table8"], scale, drawn_sources(drawn_data), (0, 1))
    trained = {(cell.row.name, cell.seed): cell.training for cell in plan.cells}
    damaged, waiting = trained["OC-FT", 0], trained["QC-FT+PT", 1]
    assert damaged
    assert waiting
    assert waiting.after
    (runs / damaged.name / RECORD_NAME).write_text("{")
    shutil.rmtree(runs / waiting.name)
    shutil.rmtree(runs / waiting.after.name)
    diverge(runs / "gone", waiting.after)
    forbid_training(monkeypatch, runs / damaged.name)
    assert main(command(drawn_data, tmp_path, "--seeds", "0", "1")) == 0
    printed = capsys.readouterr().out
    assert f"  note         {runs / damaged.name / RECORD_NAME}: no record of a run (JSONDecodeError)\n" in printed
    assert f"  diverged     seed 1  {runs / 'gone'}  (OC-FT+PT, QC-FT+PT)\n" in printed
    assert f"not done: {damaged.name}: output '{runs / damaged.name}' exists; choose another folder" in printed
    assert f"not done: {waiting.after.name}: {runs / 'gone'}: training diverged: at step 7; remove" in printed
    assert f"not done: {waiting.name}: {waiting.after.name} failed\n" in printed
    rows = {row.name: row for row in read_outcome(tmp_path / "results" / "table8.json").rows}
    assert rows["OC-FT"].problems == (f"drawn streets, seed 0: {runs / damaged.name}: missing",)
    assert rows["QC-FT+PT"].problems == (f"drawn streets, seed 1: {runs / 'gone'}: training diverged: at step 7",)
    assert rows["OC-FT+PT"].problems == ()
    assert [len(row.own["drawn streets"]["mAP"]) for row in rows.values()] == [1, 2, 2, 1]
    assert (runs / damaged.name / "weights.safetensors").is_file()


def test_an_interrupted_call_goes_on(
    drawn_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(drawn_data, tmp_path, "--rows", "OC-FT+PT")
    with monkeypatch.context() as patch:
        interrupt_step(patch, 1)
        assert main(arguments) == 130
    printed = capsys.readouterr()
    assert printed.err.endswith("spnet reproduce: interrupted; the same command goes on from here\n")
    assert not (tmp_path / "results").exists()
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines() if " seed 0 " in line] == ["interrupted", "missing"]
    assert read_outcome(tmp_path / "results" / "table8.json").rows[0].problems == ()


def interrupt_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C comes while the step is computed."""
    original = TrainingModule.training_step

    def training_step(self: TrainingModule, batch: Any, index: int) -> Any:
        if self.global_step == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)


def test_figures_of_another_evaluator_are_told_and_measured_again(
    made: Path, drawn_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made / "runs", tmp_path / "runs")
    file, *_ = (tmp_path / "runs").glob("*/evaluation/data-test-object/metrics.json")
    content = json.loads(file.read_text())
    content["protocols"]["test"]["detected"]["mAP"] = 0.123
    file.write_text(json.dumps(content | {"evaluator_version": 0}))
    forbid_training(monkeypatch)
    assert main(command(drawn_data, tmp_path, "--seeds", "0", "1")) == 0
    said = f"  note         {file}: measured with evaluator version 0, this is version {EVALUATOR_VERSION}"
    assert said in capsys.readouterr().out
    first, second = (json.loads((folder / "results" / "table8.json").read_text()) for folder in (made, tmp_path))
    assert first["rows"] == second["rows"]


def test_a_chart_is_drawn_and_several_are_made_at_once(
    made: Path, drawn_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any of their runs: what there is not is said, and the files are there."""
    monkeypatch.setattr(reproduce, "run_jobs", lambda jobs, at_once: {job.name: "not today" for job in jobs})
    assert main(["reproduce", "figure7", *command(drawn_data, tmp_path, table="speed")[1:]]) == 0
    names = {file.name for file in (tmp_path / "results").iterdir()}
    assert names == {f"{key}.{kind}" for key in ("speed", "figure7") for kind in ("md", "tex", "json")} | {
        "figure7.png",
        "figure7.pdf",
    }


def test_dry_run_shows_every_configuration_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = ["--data", "cocopersons=coco", "cuhk-sysu=cuhk", "prw=prw"]
    assert main(["reproduce", "table5", *data, "--dry-run"]) == 0
    plan, _, documents = capsys.readouterr().out.partition("--- # ")
    assert "Table 5: Initialisation before fine-tuning (SPNet-S); 0 trainings at scale paper\n" in plan
    for name in ("cocopersons=coco", "cuhk-sysu=cuhk"):
        assert f": --data {name}: no data set prepared by `spnet prepare` is there\n" in plan
    shown = {}
    for document in documents.split("--- # "):
        title, _, text = document.partition("\n")
        shown[title] = parse(RunConfig, yaml.safe_load(text), title)
    rows = [row.name for row in EXHIBITS["table5"].rows]
    assert set(shown) == {f"table5, {row}: fine-tuning on {data}" for row in rows for data in ("CUHK-SYSU", "PRW")} | {
        f"table5, {row}: pre-training on COCOPersons" for row in rows[2:]
    }
    prw = shown["table5, Ours-QC: fine-tuning on PRW"]
    assert (prw.data.root, prw.data.train_split, prw.objective.queue_size) == ("prw", "trainval", 500)
    assert shown["table5, Random Init.: fine-tuning on PRW"].model.trunk.weights == "none"
    assert shown["table5, Ours-OC: pre-training on COCOPersons"].objective.path == "object"
    assert list(tmp_path.iterdir()) == []


def test_dry_run_of_drawn_streets_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["--rows", "FixedNorm Logits (-)"]
    assert main(["reproduce", "table9", *rows, "--data", "synthetic", "--scale", "small", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("--- # ") == 1
    assert "--- # table9, FixedNorm Logits (-): fine-tuning on drawn streets\n" in printed
    assert list(tmp_path.iterdir()) == []


REAL = ["cocopersons=a", "prw=b"]
MISTAKES = [
    (["table10", "--data", *REAL], "there is no table or figure 'table10'; choose main, table4, table5"),
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
    (["table5", "--data", "synthetic=none"], "--data synthetic=none: there is nothing; without =DIR streets are drawn"),
    (["table5"], "the following arguments are required: --data"),
    (["table5", "--data", *REAL, "--scale", "large"], "argument --scale: invalid choice: 'large' (choose from "),
    (["table5", "--data", *REAL, "--seeds", "0", "-1"], "--seeds -1: must be 0 or more"),
    (["table5", "--data", *REAL, "--seeds", "x"], "argument --seeds: invalid int value: 'x'"),
    (["table5", "--data", *REAL, "--jobs", "0"], "--jobs 0: must be 1 or more"),
    (["table5", "--data", *REAL, "--jobs", "two"], "argument --jobs: invalid int value: 'two'"),
    (["table5", "--data", *REAL, "--slurm", "gpu"], "--slurm gpu: expected KEY=VALUE"),
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


def test_results_that_cannot_be_written_are_refused(
    made: Path, drawn_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").touch()
    arguments = command(drawn_data, tmp_path, "--seeds", "0", "1", "--runs", str(made / "runs"))
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"spnet reproduce: error: {tmp_path / 'results'}: cannot be made: File exists\n"


def test_experiments_lists_everything(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    assert main(["experiments"]) == 0
    printed = capsys.readouterr().out
    for key, exhibit in EXHIBITS.items():
        assert f"{key}: " in printed
        assert f"  spnet reproduce {key} --data synthetic --scale small\n" in printed
        for row in exhibit.rows:
            assert row.name in printed
    assert main(["experiments", "--table", "8", "--results", str(made / "results")]) == 0
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
        assert main(["experiments", option, value]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith(row)]
        assert figures in line
        assert line.strip().endswith(f" {cost}")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"rows": []}', "null"])
def test_experiments_names_a_damaged_result(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "table5.json").write_text(content)
    assert main(["experiments", "--table", "5", "--results", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert f"note: {tmp_path / 'table5.json'}: no result of `spnet reproduce` (" in printed
    assert "Ours-QC" in printed


@pytest.mark.parametrize(("option", "value"), [("--table", "7b"), ("--table", "10"), ("--figure", "9")])
def test_experiments_refuses_what_there_is_not(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiments", option, value]) == 2
    error = capsys.readouterr().err
    assert error.startswith("spnet experiments: error: there is no table or figure '")
    assert "choose main, table4" in error
    assert error.count("\n") == 1


def test_two_at_once(drawn_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each line of a process says whose it is."""
    rows = ["--rows", "OC-FT", "QC-FT"]
    assert main(command(drawn_data, tmp_path, "--jobs", "2", *rows)) == 0
    outcome = read_outcome(tmp_path / "results" / "table8.json")
    assert [row.problems for row in outcome.rows] == [(), ()]
    assert [len(row.own["drawn streets"]["mAP"]) for row in outcome.rows] == [1, 1]
    printed = capfd.readouterr()
    for run in (tmp_path / "runs").glob("finetune-*"):
        assert f"{run.name}: training\n{run.name}: measuring on data\n" in "".join(
            line for line in printed.out.splitlines(keepends=True) if line.startswith(run.name)
        )
        assert f"{run.name}: epoch 1/1" in printed.err


def test_handed_to_a_cluster(
    drawn_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole jobs travel: they can be pickled, and come after their pre-training."""
    handed: list[Any] = []

    def submit(jobs: list[Job], folder: Path, options: dict[str, str]) -> dict[str, str]:
        handed.extend([folder, options, *pickle.loads(pickle.dumps(jobs))])
        return {job.name: str(100 + row) for row, job in enumerate(jobs)}

    monkeypatch.setattr(reproduce, "submit", submit)
    rows = ["--rows", "OC-FT+PT", "--slurm", "slurm_partition=gpu", "timeout_min=60"]
    assert main(command(drawn_data, tmp_path, *rows)) == 0
    folder, options, before, after = handed
    assert folder == tmp_path / "runs" / "slurm"
    assert options == {"slurm_partition": "gpu", "timeout_min": "60"}
    assert after.after == (before.name,)
    assert f"{before.name}: job 100\n{after.name}: job 101\n" in capsys.readouterr().out
    assert "missing" in read_outcome(tmp_path / "results" / "table8.json").rows[0].problems[0]
