"""Collects the figures of a plan's runs into an outcome, with what is missing said by name."""

from spnet.errors import UserError
from spnet.evaluation.report import EVALUATOR_VERSION
from spnet.paper.execute import measurement_of, metrics_of
from spnet.paper.plan import Cell, Plan, Training, own_columns
from spnet.paper.results.outcomes import Outcome, RowOutcome
from spnet.paper.rows.paper_table import Row
from spnet.paper.run_index import Runs
from spnet.runs.record import RunRecord, now, read_record


def collect_outcome(plan: Plan, runs: Runs) -> Outcome:
    """What is known of an exhibit by now; rows whose runs are not finished say so."""
    exhibit = plan.exhibit
    columns = own_columns(exhibit, plan.sources)
    rows = tuple(_row(row, plan, runs) for row in exhibit.rows)
    return Outcome(
        exhibit.key,
        exhibit.heading,
        exhibit.note,
        exhibit.chart,
        exhibit.gains,
        exhibit.columns,
        columns,
        rows,
        _facts(plan, runs),
    )


def _row(row: Row, plan: Plan, runs: Runs) -> RowOutcome:
    own: dict[str, dict[str, list[float]]] = {}
    problems: list[str] = []
    for cell in (cell for cell in plan.cells if cell.row is row):
        try:
            figures = _figures(cell, plan, runs)
        except UserError as error:
            problems.append(f"{cell.column}, seed {cell.seed}: {error}")
            continue
        for metric, value in figures.items():
            own.setdefault(cell.column, {}).setdefault(metric, []).append(value)
    return RowOutcome(row.name, row.paper, own, row.at, tuple(problems))


def _figures(cell: Cell, plan: Plan, runs: Runs) -> dict[str, float]:
    """Figures of one cell by metric, its exhibit's alone. Raises UserError if they are not there."""
    if cell.training is None:
        raise UserError(cell.problem)
    found = runs.find(cell.training)
    if found.state != "finished":
        raise UserError(_why_missing(cell.training, runs))
    wanted = measurement_of(cell, plan)
    figures = metrics_of(found.folder, wanted) if wanted else {}
    if record := read_record(found.folder):
        figures["hours"] = record.seconds / 3600
    names = dict(own_columns(plan.exhibit, plan.sources))[cell.column]
    return {name: figures[name] for name in names if name in figures}


def _why_missing(training: Training, runs: Runs) -> str:
    """What keeps a training from being finished: itself, or the pre-training it waits for."""
    found = [runs.find(run) for run in (training, training.after) if run]
    one = next((one for one in found if one.reason), found[0])
    return f"{one.folder}: {one.reason or one.state}"


def _facts(plan: Plan, runs: Runs) -> dict[str, str]:
    records = _records(plan, runs)
    seconds = sum(record.seconds for record in records)
    machines = sorted({record.hardware for record in records})
    versions = sorted({f"spnet {(record.versions or {}).get('spnet')}" for record in records})
    return {
        "scale": plan.scale.name,
        "seeds": ", ".join(map(str, plan.seeds)),
        "data": ", ".join(dict.fromkeys(root.name for root in plan.sources.roots.values())),
        "training": f"{len(records)} runs, {seconds / 3600:.2f} hours in all",
        "hardware": "; ".join(machines) or "nothing has run yet",
        "versions": "; ".join([*versions, f"evaluator {EVALUATOR_VERSION}"]),
        "date": f"{now()} UTC",
    }


def _records(plan: Plan, runs: Runs) -> list[RunRecord]:
    """Those of all finished runs of a plan, pre-trainings too."""
    finished = [found.folder for run in plan.trainings() if (found := runs.find(run)).state == "finished"]
    return [record for folder in finished if (record := read_record(folder))]
