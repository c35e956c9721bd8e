"""Long work in phases: a finished phase is never done twice, an interrupted one goes on, a changed one starts anew."""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from spnet.errors import UserError
from spnet.files import atomic_write

RECORDS = "phases.json"


class Phases:
    """Phases of one piece of work, each with a folder of its own below `folder`.

    `folder/phases.json` remembers each phase's settings, whether it is done, and the seconds it took, those of
    interrupted attempts included.
    """

    def __init__(self, folder: Path, total: int) -> None:
        """Raises UserError if the folder holds something else, or its records cannot be read."""
        self.folder, self._total, self._begun = folder, total, 0
        self._records = _read_records(folder)

    @property
    def seconds(self) -> dict[str, float]:
        """What each phase took."""
        return {name: round(record["seconds"], 1) for name, record in self._records.items()}

    def run(
        self,
        name: str,
        what: str,
        settings: Mapping[str, Any],
        work: Callable[[Path], object],
        after: Iterable[str] = (),
    ) -> Path:
        """Do a phase unless it is done with the same settings; returns its folder.

        `settings`, JSON values, are everything the result depends on beside the phases it comes `after`. `work` is
        given the folder: it makes it, or goes on with what it finds there.
        """
        folder = self.folder / name
        settings = {"own": settings, "after": {other: self._records[other]["settings"] for other in after}}
        self._begun += 1
        heading = f"{self._begun}/{self._total} {what}"
        record = self._records.get(name)
        if record and record["settings"] != settings:
            heading += " (anew: its settings changed)"
            record = None
        elif record and record["done"] and folder.exists():
            print(f"{heading}: done before, in {record['seconds']:.0f} s", flush=True)
            return folder
        print(heading, flush=True)
        if record is None or record["done"]:
            shutil.rmtree(folder, ignore_errors=True)
            record = {"settings": settings, "seconds": 0.0, "done": False}
        self._do(name, record, lambda: work(folder))
        return folder

    def _do(self, name: str, record: dict[str, Any], work: Callable[[], object]) -> None:
        self._records[name] = record
        self._save()
        before, started = record["seconds"], time.monotonic()
        try:
            work()
            record["done"] = True
        finally:
            record["seconds"] = before + time.monotonic() - started
            self._save()

    def _save(self) -> None:
        with atomic_write(self.folder / RECORDS) as stream:
            stream.write((json.dumps(self._records, indent=1) + "\n").encode())


def _read_records(folder: Path) -> dict[str, Any]:
    file = folder / RECORDS
    if not file.is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"--output {folder}: it holds something else (it has no {RECORDS}); choose another folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--output {folder}: cannot be made: {error.strerror}") from None
        return {}
    try:
        records: dict[str, Any] = json.loads(file.read_text())
        complete = all({"settings", "seconds", "done"} <= set(record) for record in records.values())
    except (OSError, ValueError, AttributeError, TypeError):
        complete = False
    if not complete:
        raise UserError(f"{file}: it is damaged; remove {folder}, or choose another --output")
    return records
