"""What is known of a table by now: figures of the runs there are, and the names of those there are not."""

from pathlib import Path

from fake_runs import finish, finish_all, interrupt, note_metrics
from spnet.evaluation.metrics_file import EVALUATOR_VERSION
from spnet.paper.datasets import synthetic_sources
from spnet.paper.execute import make_jobs
from spnet.paper.figures import get_table
from spnet.paper.measurements import Measurement
from spnet.paper.paper_table import Scale
from spnet.paper.plan import Plan, make_plan
from spnet.paper.reproduce import only_rows
from spnet.paper.results.collect import collect_outcome
from spnet.paper.results.outcomes import Outcome
from spnet.runs.index import RunIndex

STREETS = "synthetic scenes"


def plan_of(key: str, scale: Scale, data: Path, *rows: str, seeds: tuple[int, ...] = (0,)) -> Plan:
    one = get_table(key)
    return make_plan(only_rows(one, rows), scale, synthetic_sources(data), seeds)


def outcome_of(plan: Plan, runs: Path) -> Outcome:
    return collect_outcome(plan, RunIndex(runs))


def test_the_rest_of_a_table_is_there(miniature: Scale, synthetic_data: Path, tmp_path: Path) -> None:
    """Of two seeds one is finished, another row's run was interrupted."""
    plan = plan_of("table8", miniature, synthetic_data, "OC-FT", "QC-FT", seeds=(0, 1))
    first, second, third, _ = (cell.training for cell in plan.cells)
    assert first
    assert second
    assert third
    note_metrics(finish(tmp_path / "first", first, seconds=7200), Measurement(synthetic_data, "test", "object"), 0.5)
    interrupt(tmp_path / "second", second)
    note_metrics(finish(tmp_path / "third", third), Measurement(synthetic_data, "test", "query"), 0.25)
    outcome = outcome_of(plan, tmp_path)
    own = {row.name: row.own for row in outcome.rows}
    assert own == {
        "OC-FT": {STREETS: {"mAP": [50.0], "top-1": [25.0]}},
        "QC-FT": {STREETS: {"mAP": [25.0], "top-1": [25.0]}},
    }
    assert outcome.rows[0].problems == (f"{STREETS}, seed 1: {tmp_path / 'second'}: interrupted",)
    assert outcome.gains == ()
    facts = dict(outcome.facts)
    assert facts["seeds"] == "0, 1"
    assert facts["scale"] == "miniature"
    assert facts["training"] == "2 runs, 2.50 hours in all"
    assert facts["data"] == "data"
    assert f"evaluator {EVALUATOR_VERSION}" in facts["versions"]


def test_a_row_that_cannot_be_made_says_why(miniature: Scale, tmp_path: Path) -> None:
    plan = plan_of("table8", miniature, tmp_path / "none", "OC-FT")
    (row,) = outcome_of(plan, tmp_path / "runs").rows
    said = f"{STREETS}, seed 0: --data synthetic={tmp_path / 'none'}: no data set prepared by `spnet prepare` is there"
    assert row.problems == (said,)
    assert make_jobs(plan, RunIndex(tmp_path / "runs")) == ([], {})


def test_hours_are_those_of_the_record(miniature: Scale, synthetic_data: Path, tmp_path: Path) -> None:
    plan = plan_of("table4", miniature, synthetic_data, "SPNet-S, QC", "SPNet-S, OC")
    finish_all(plan, tmp_path)
    assert make_jobs(plan, RunIndex(tmp_path)) == ([], {})
    own = {row.name: row.own for row in outcome_of(plan, tmp_path).rows}
    boxes = {"synthetic scenes (boxes)": {"hours": [0.5]}}
    assert own == {"SPNet-S, QC": boxes | {STREETS: {"hours": [0.5]}}, "SPNet-S, OC": boxes}
