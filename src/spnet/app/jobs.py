"""Long work in threads: it reports how far it is, and can be stopped."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from threading import Event, Thread
from typing import Any, Literal

from spnet.errors import UserError

KEPT = 30  # ended jobs that are still listed
PATIENCE = 10.0  # seconds that running work gets to stop when the app ends
State = Literal["running", "done", "stopped", "failed"]


@dataclass
class Job:
    """One piece of work."""

    title: str
    id: str = field(default_factory=lambda: token_hex(8))
    state: State = "running"
    done: int = 0
    total: int = 0  # 0: not known
    message: str = ""
    file: Path | None = None  # to be downloaded
    search: str | None = None  # hits to be shown
    _stop: Event = field(default_factory=Event, repr=False)

    def report(self, done: int, total: int) -> None:
        """Say how far it is. Raises KeyboardInterrupt where somebody has stopped it."""
        self.done, self.total = done, total
        if self._stop.is_set():
            raise KeyboardInterrupt

    def stop(self) -> None:
        """End it at its next report."""
        self._stop.set()

    def as_record(self) -> dict[str, Any]:
        """What the page shows of it."""
        shown = {name: getattr(self, name) for name in ("id", "title", "state", "done", "total", "message", "search")}
        return {**shown, "file": None if self.file is None else self.file.name}


class Jobs:
    """The work of one app."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._threads: list[Thread] = []

    def start(self, title: str, work: Callable[[Job], None]) -> Job:
        """Run `work` in a thread; its UserError becomes the job's message."""
        job = Job(title)
        ended = [key for key, other in self._jobs.items() if other.state != "running"]
        for key in ended[: max(0, len(ended) - KEPT)]:
            del self._jobs[key]
        self._jobs[job.id] = job
        thread = Thread(target=_run, args=(job, work), name=f"job {title}", daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()
        return job

    def get(self, identity: str) -> Job | None:
        """A job by its id."""
        return self._jobs.get(identity)

    def all(self) -> list[Job]:
        """Newest first."""
        return list(self._jobs.values())[::-1]

    def close(self) -> None:
        """Stop all, and wait a little."""
        for job in self._jobs.values():
            job.stop()
        for thread in self._threads:
            thread.join(PATIENCE)


def _run(job: Job, work: Callable[[Job], None]) -> None:
    try:
        job.report(0, 0)
        work(job)
        job.state = "done"
    except KeyboardInterrupt:
        job.state, job.message = "stopped", job.message or "stopped"
    except UserError as error:
        job.state, job.message = "failed", str(error)
    except Exception:
        job.state, job.message = "failed", "an error of the program; the terminal has more"
        raise
