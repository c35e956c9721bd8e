"""Commands for the tests of what runs jobs, as `python toy_jobs.py NAME ARGUMENT...`."""

import os
import signal
import sys
import time
from pathlib import Path

from spnet.paper.process_pool import Job, run_jobs

PATIENCE = 240.0  # seconds; machines may be busy


def toy(name: str, *arguments: object) -> tuple[str, ...]:
    """The command that calls a function of this module."""
    return (sys.executable, __file__, name, *map(str, arguments))


def note(file: str, line: str) -> None:
    """Add a line to a file."""
    with Path(file).open("a") as stream:
        stream.write(f"{line}\n")


def wait_for(file: Path) -> None:
    """Wait until a file is there."""
    until = time.monotonic() + PATIENCE
    while not file.exists():
        assert time.monotonic() < until, f"{file.name} did not come"
        time.sleep(0.01)


def meet(own: str, other: str) -> None:
    """Show oneself and wait for the other."""
    Path(own).touch()
    wait_for(Path(other))


def refuse(message: str) -> None:
    """As `spnet` refuses something."""
    print(f"spnet train: error: {message}", file=sys.stderr)
    sys.exit(2)


def crash() -> None:
    raise RuntimeError("a mistake of ours")


def end(status: str) -> None:
    sys.exit(int(status))


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def count_threads(file: str) -> None:
    note(file, f"{os.environ.get('OMP_NUM_THREADS')} {os.environ.get('MKL_NUM_THREADS')}")


def speak() -> None:
    print("one\ntwo", flush=True)
    print("aside", file=sys.stderr)


def take_part(folder: str, name: str) -> None:
    """Note how many are at it."""
    own = Path(folder) / f"at it {name}"
    own.touch()
    note(f"{folder}/count", str(len(list(Path(folder).glob("at it *")))))
    time.sleep(0.3)
    own.unlink()


def work_until_stopped(folder: str, name: str) -> None:
    """Count signals for a while after the first; leave a file once all is tidied up."""
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: signals.append(number))
    Path(folder, f"began {name}").touch()
    until = time.monotonic() + PATIENCE
    while not signals and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.5)
    note(f"{folder}/ended {name}", f"signals: {len(signals)}")
    sys.exit(130)


def load_slowly(folder: str, name: str) -> None:
    """A job that has set no handler yet, as one that imports torch."""
    Path(folder, f"loading {name}").touch()
    time.sleep(PATIENCE)
    Path(folder, f"began {name}").touch()


def run_two(kind: str, folder: str) -> None:
    """Two jobs side by side, and a third that waits for them."""
    jobs = [Job(name, toy(kind, folder, name)) for name in "ab"]
    jobs.append(Job("c", toy("note", f"{folder}/began c", ""), ("a", "b")))
    try:
        run_jobs(jobs, 2, Path(folder) / "logs")
    except KeyboardInterrupt:
        note(f"{folder}/parent", " ".join(sorted(file.name for file in Path(folder).glob("* ?"))))
        sys.exit(130)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
