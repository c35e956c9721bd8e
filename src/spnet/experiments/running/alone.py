"""One at a time: two that work in the same folder would train the same run, and remove each other's files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from spnet.errors import UserError

LOCK = ".lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes out of `folder` meanwhile; it is made if it is not there.

    Raises:
        UserError: another is at work there, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise UserError(f"{folder}: another process is at work there; wait for it, or choose another folder") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be worked in: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()
