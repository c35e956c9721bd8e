"""The runs there are, found by what they depend on and not by where they lie or what they are called."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from spnet.errors import UserError
from spnet.models.checkpoints import WEIGHTS_NAME
from spnet.paper.plan import Plan, Training
from spnet.runs.folder import LAST
from spnet.runs.record import RECORD_NAME, read_record

State = Literal["finished", "diverged", "interrupted", "missing"]
STATES: tuple[State, ...] = get_args(State)  # the best first: of two runs of a training the better one counts


@dataclass(frozen=True)
class Found:
    """What there is of a training."""

    folder: Path
    state: State
    reason: str = ""


class Runs:
    """The runs below a folder, found by what they depend on.

    Args:
        folder: of all runs; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        self._found: dict[str, Found] = {}
        for file in sorted(folder.rglob(RECORD_NAME)) if folder.is_dir() else []:
            self._add(file.parent)

    def find(self, training: Training) -> Found:
        """The best there is of a training; where it will be, if there is nothing."""
        return self._found.get(training.fingerprint) or Found(self.folder / training.name, "missing")

    def _add(self, run: Path) -> None:
        try:
            record = read_record(run)
        except UserError as error:
            self.problems.append(str(error))
            return
        if record is None:
            return
        state: State = "missing"
        if (run / WEIGHTS_NAME).is_file():
            state = "finished"
        elif record.state == "diverged":
            state = "diverged"
        elif (run / LAST).is_file():
            state = "interrupted"
        known = self._found.get(record.fingerprint)
        if known is None or STATES.index(state) < STATES.index(known.state):
            self._found[record.fingerprint] = Found(run, state, record.reason)


def needed_trainings(plan: Plan, runs: Runs) -> list[Training]:
    """Runs that must be there, in the plan's order: a pre-training need not be, once all that starts from it is."""
    trainings = plan.trainings()
    asked_for = {cell.training.fingerprint for cell in plan.cells if cell.training}
    to_do = [run for run in trainings if runs.find(run).state not in ("finished", "diverged")]
    started_from = {run.after.fingerprint for run in to_do if run.after}
    return [run for run in trainings if run.fingerprint in asked_for | started_from]
