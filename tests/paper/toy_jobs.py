"""Jobs for the tests of what runs jobs: other processes can import them. As a program it runs two long ones."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from spnet.errors import UserError
from spnet.paper.process_pool import Job, run_jobs

PATIENCE = 240.0  # seconds; machines may be busy


def note(file: Path, line: str) -> None:
    """Add a line to a file."""
    with file.open("a") as stream:
        stream.write(f"{line}\n")


def wait_for(file: Path) -> None:
    """Wait until a file is there. Raises UserError if it does not come."""
    until = time.monotonic() + PATIENCE
    while not file.exists():
        if time.monotonic() > until:
            raise UserError(f"{file.name} did not come")
        time.sleep(0.01)


def meet(own: Path, other: Path) -> None:
    """Show oneself and wait for the other."""
    own.touch()
    wait_for(other)


def refuse(message: str) -> None:
    raise UserError(message)


def crash() -> None:
    raise RuntimeError("a mistake of ours")


def end(status: int) -> None:
    os._exit(status)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def count_threads(file: Path) -> None:
    note(file, f"{os.environ['OMP_NUM_THREADS']} {os.environ['MKL_NUM_THREADS']}")


def speak() -> None:
    print("one\ntwo")
    print("half", end="")
    print(" a line")
    print("aside", file=sys.stderr)


def take_part(folder: Path, name: str) -> None:
    """Note how many are at it."""
    own = folder / f"at it {name}"
    own.touch()
    note(folder / "count", str(len(list(folder.glob("at it *")))))
    time.sleep(0.3)
    own.unlink()


def work_until_stopped(folder: Path, name: str) -> None:
    """Count interrupts for a while after the first; leave a file once all is tidied up."""
    interrupts: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    (folder / f"began {name}").touch()
    until = time.monotonic() + PATIENCE
    while not interrupts and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.5)
    note(folder / f"ended {name}", f"interrupts: {len(interrupts)}")
    raise KeyboardInterrupt


class SlowToLoad:
    """A job whose process takes long to load it, as one that needs torch does."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        (self.folder / f"loading {self.name}").touch()
        time.sleep(2)

    def __call__(self) -> None:
        (self.folder / f"began {self.name}").touch()
        time.sleep(PATIENCE)


def main(kind: str, folder: Path) -> None:
    """Two jobs side by side, and a third that waits for them."""
    works: list[Any] = [
        partial(work_until_stopped, folder, name) if kind == "long" else SlowToLoad(folder, name) for name in "ab"
    ]
    jobs = [Job(name, work) for name, work in zip("ab", works, strict=True)]
    try:
        run_jobs([*jobs, Job("c", partial(note, folder / "began c", ""), ("a", "b"))], at_once=2)
    except KeyboardInterrupt:
        note(folder / "parent", " ".join(sorted(file.name for file in folder.iterdir())))
        sys.exit(130)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
