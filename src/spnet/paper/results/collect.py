"""Collects the metrics of a plan's runs into an outcome, with what is missing said by name."""

from spnet.errors import UserError
from spnet.evaluation.metrics_file import EVALUATOR_VERSION
from spnet.paper.measurements import measurement_of, read_measurement
from spnet.paper.paper_table import Row
from spnet.paper.plan import Cell, Plan, Training, own_columns
from spnet.paper.results.outcomes import Outcome, RowOutcome
from spnet.runs.index import RunIndex, RunState
from spnet.runs.record import now


def collect_outcome(plan: Plan, runs: RunIndex) -> Outcome:
    """What is known of a table by now; rows whose runs are not finished say so."""
    table = plan.table
    columns = tuple(own_columns(table, plan.sources).items())
    rows, facts = tuple(_row(row, plan, runs) for row in table.rows), _facts(plan, runs)
    return Outcome(table.key, table.heading, table.note, table.chart, table.gains, table.columns, columns, rows, facts)


def _row(row: Row, plan: Plan, runs: RunIndex) -> RowOutcome:
    own: dict[str, dict[str, list[float]]] = {}
    problems: list[str] = []
    for cell in (cell for cell in plan.cells if cell.row is row):
        try:
            metrics = _metrics(cell, plan, runs)
        except UserError as error:
            problems.append(f"{cell.column}, seed {cell.seed}: {error}")
            continue
        for metric, value in metrics.items():
            own.setdefault(cell.column, {}).setdefault(metric, []).append(value)
    return RowOutcome(row.name, row.paper, own, row.at, tuple(problems))


def _metrics(cell: Cell, plan: Plan, runs: RunIndex) -> dict[str, float]:
    """Metrics of one cell by metric, its table's alone. Raises UserError if they are not there."""
    if cell.training is None:
        raise UserError(cell.problem)
    found = cell.training.find(runs)
    if found.state != RunState.FINISHED:
        raise UserError(_why_missing(cell.training, runs))
    wanted = measurement_of(cell, plan)
    metrics = read_measurement(found.folder, wanted) if wanted else {}
    if found.record:
        metrics["hours"] = found.record.seconds / 3600
    names = own_columns(plan.table, plan.sources)[cell.column]
    return {name: metrics[name] for name in names if name in metrics}


def _why_missing(training: Training, runs: RunIndex) -> str:
    """What keeps a training from being finished: itself, or the pre-training it waits for."""
    found = [run.find(runs) for run in (training, training.after) if run]
    one = next((one for one in found if one.reason), found[0])
    return f"{one.folder}: {one.reason or one.state}"


def _facts(plan: Plan, runs: RunIndex) -> dict[str, str]:
    found = [training.find(runs) for training in plan.trainings()]
    records = [run.record for run in found if run.state == RunState.FINISHED and run.record]
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
