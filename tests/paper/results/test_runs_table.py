"""Every run below a folder is found, with how it stands and what is wrong with it; one damaged run hides no other."""

from pathlib import Path

import pytest

from invented_runs import evaluate, interrupt, make_run, set_record
from spnet.errors import UserError
from spnet.evaluation.metrics_file import EVALUATOR_VERSION
from spnet.paper.results.runs_table import COLUMNS, Line, list_runs
from spnet.runs.index import read_run
from spnet.runs.record import RunRecord, write_record


def texts(line: Line, *columns: str) -> list[str]:
    """What is printed in a line."""
    return [COLUMNS[name].text(line) for name in columns]


def only(folder: Path) -> tuple[Line, list[str]]:
    """The only line, and what is said of its run."""
    ((line,), problems) = list_runs(folder)
    return line, [problem.removeprefix(f"{line.name}: ") for problem in problems]


def test_what_a_finished_run_says_of_itself(tmp_path: Path) -> None:
    pretrained = make_run(tmp_path / "pretrain" / "qc", "pretrain", train_split="train")
    run = make_run(
        tmp_path / "deep" / "er" / "a", seed="7", init_from=str(pretrained), heads="separate", cascade_steps="2"
    )
    evaluate(run)
    (first, second), problems = list_runs(tmp_path)
    assert [first.name, second.name] == ["deep/er/a", "pretrain/qc"]
    assert problems == []
    said = dict(zip(COLUMNS, texts(first, *COLUMNS), strict=True))
    assert said == {
        "run": "deep/er/a",
        "state": "finished",
        "pathway": "object",
        "stage": "fine-tuning",
        "architecture": "c2-sep-d128",
        "backbone": "convnext_tiny",
        "data": "prw train",
        "seed": "7",
        "started from": "pretrain/qc",
        "hours": "2.5 h",
        "evaluation": "prw-test-object",
        "protocol": "test",
        "recall": "90.0",
        "AP@0.5": "80.0",
        "mAP": "50.0",
        "top-1": "70.0",
        "GT mAP": "60.0",
    }
    assert texts(second, "pathway", "stage", "architecture", "started from", "mAP") == [
        "query",
        "pre-training",
        "c0-share-d128",
        "ImageNet classifier",
        "",
    ]
    assert set(first.files()) == {"config", "weights"}


def test_a_real_run(small_run: Path, tmp_path: Path) -> None:
    run, problems = only(small_run)
    assert (run.name, run.run.state, problems) == (".", "finished", [])
    assert texts(run, "data", "started from", "architecture") == ["data train", "random weights", "c0-share-d16"]
    assert run.hours is not None
    assert 0 < run.hours < 0.5


def test_a_run_below_a_run_is_found_and_its_own_folders_are_none(tmp_path: Path) -> None:
    outer = make_run(tmp_path / "outer")
    make_run(outer / "inner")
    make_run(outer / "logs" / "copy")
    make_run(tmp_path / ".hidden")
    assert [line.name for line in list_runs(tmp_path)[0]] == ["outer", "outer/inner"]


def test_every_protocol_has_a_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    evaluate(run, protocol="test", mAP=0.4)
    evaluate(run, protocol="G50", mAP=0.3)
    evaluate(run, "prw-test-query", mAP=0.2)
    lines, _ = list_runs(tmp_path)
    printed = [[COLUMNS[name].text(line) for name in ("evaluation", "protocol", "mAP")] for line in lines]
    assert printed == [
        ["prw-test-object", "test", "40.0"],
        ["prw-test-object", "G50", "30.0"],
        ["prw-test-query", "test", "20.0"],
    ]


def test_an_interrupted_run_says_where_and_how_to_go_on(tmp_path: Path) -> None:
    run = interrupt(make_run(tmp_path / "a"))
    found, problems = only(tmp_path)
    assert (found.run.state, found.hours) == ("interrupted", None)
    assert problems == [f"interrupted after step 120, or still running; go on with: spnet train --resume {run}"]
    assert set(found.files()) == {"config"}
    (run / "logs" / "metrics.csv").write_text("step,loss/total\n")
    assert only(tmp_path)[1][0].startswith("interrupted, or still running")
    whole = (run / "checkpoints" / "last.ckpt").read_bytes()
    (run / "checkpoints" / "last.ckpt").write_text("cut off")
    assert only(tmp_path)[0].run.state == "damaged"
    (run / "checkpoints" / "previous.ckpt").write_bytes(whole)
    assert only(tmp_path)[0].run.state == "interrupted"
    (run / "checkpoints" / "last.ckpt").unlink()
    assert only(tmp_path)[0].run.state == "interrupted"
    (run / "checkpoints" / "previous.ckpt").unlink()
    assert only(tmp_path)[0].run.state == "started"


def test_a_run_killed_before_it_wrote_its_configuration_is_only_started(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_record(tmp_path / "a", RunRecord("digest"))
    (tmp_path / "a" / ".config.yaml.17.partial").write_text("")
    assert read_run(tmp_path / "a").state == "started"
    (tmp_path / "a" / "weights.safetensors").write_text("")
    assert read_run(tmp_path / "a").state == "damaged"


@pytest.mark.parametrize("state", ["failed", "diverged"])
def test_a_failed_run_says_why(tmp_path: Path, state: str) -> None:
    run = interrupt(make_run(tmp_path / "a"))
    set_record(run, state=state, reason="weights are no finite numbers")
    assert only(tmp_path)[0].run.state == state
    assert only(tmp_path)[1] == [f"{state}: weights are no finite numbers"]


DAMAGE = [
    ("config.yaml", "model: 3", "model is 3, expected keys and values", "damaged"),
    ("config.yaml", "{", "is no YAML", "damaged"),
    ("config.yaml", None, "it has no config.yaml", "damaged"),
    ("run.json", "{", "run.json: no record of a run", "finished"),
    ("run.json", '{"fingerprint": "0", "state": "finished", "seconds": "x"}', "seconds 'x'", "finished"),
    ("weights.safetensors", "cut off", "weights.safetensors is damaged", "damaged"),
    ("weights.safetensors", None, "weights.safetensors is missing, though the run was finished", "damaged"),
    ("evaluation/prw-test-object/metrics.json", "{", "metrics.json is damaged", "finished"),
    ("evaluation/prw-test-object/metrics.json", None, "metrics.json: no such file", "finished"),
]


@pytest.mark.parametrize(("name", "content", "said", "state"), DAMAGE)
def test_damaged_files_are_named_and_the_rest_is_there(
    tmp_path: Path, name: str, content: str | None, said: str, state: str
) -> None:
    run = make_run(tmp_path / "a")
    evaluate(run)
    evaluate(run, "prw-test-query")
    evaluate(make_run(tmp_path / "b"))
    file = run / name
    file.unlink() if content is None else file.write_text(content)
    (first, other, second), (problem,) = list_runs(tmp_path)
    assert [first.name, other.name, second.name] == ["a", "a", "b"]
    assert texts(second, "mAP") == ["50.0"]
    assert first.run.state == state
    assert problem.startswith("a: ")
    assert said in problem
    metrics = [COLUMNS["mAP"].text(line) for line in (first, other)]
    assert metrics == (["", "50.0"] if "metrics" in name else ["50.0", "50.0"])


def test_metrics_that_are_none_are_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    evaluate(run, protocol="test", mAP=float("nan"))
    evaluate(run, protocol="G50")
    lines, problems = list_runs(tmp_path)
    assert problems == ["a: evaluation/prw-test-object/metrics.json: detected mAP is NaN"]
    assert [COLUMNS["mAP"].text(line) for line in lines] == ["", "50.0"]


def test_metrics_of_another_evaluator_are_marked(tmp_path: Path) -> None:
    evaluate(make_run(tmp_path / "a"), version=EVALUATOR_VERSION - 1)
    found, problems = only(tmp_path)
    assert texts(found, "mAP", "hours") == ["50.0*", "2.5 h"]
    assert problems[0].startswith(
        f"evaluation/prw-test-object/metrics.json: measured with evaluator version {EVALUATOR_VERSION - 1}"
    )


SORTED = {
    "run": "a b c d",
    "mAP": "c a b d",  # d has none
    "hours": "b a c d",  # d is not finished
    "seed": "c b a d",
    "state": "a b c d",  # finished before interrupted
}


@pytest.mark.parametrize(("column", "order"), SORTED.items())
def test_sorting_puts_the_best_first_and_what_is_missing_last(tmp_path: Path, column: str, order: str) -> None:
    for name, mean, seconds, seed in (("a", 0.3, 200, 10), ("b", 0.2, 100, 9), ("c", 0.4, 300, 1)):
        evaluate(make_run(tmp_path / name, seconds=seconds, seed=str(seed)), mAP=mean)
    interrupt(make_run(tmp_path / "d", seed="11"))
    lines, _ = list_runs(tmp_path, column)
    assert " ".join(line.name for line in lines) == order


def test_columns_by_name(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    assert list_runs(tmp_path, "Started From") == list_runs(tmp_path, "started from")
    with pytest.raises(UserError, match=r"--sort map50: there is no such column; choose 'run', 'state',.* 'GT mAP'"):
        list_runs(tmp_path, "map50")


def test_folders_without_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing: no such folder"):
        list_runs(tmp_path / "nothing")
    with pytest.raises(UserError, match="no run is there"):
        list_runs(tmp_path)
