"""Files of results appear complete or not at all, so that nothing half-written is ever scored or compared."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from spnet.errors import UserError

LOCK = ".lock"


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content takes the name `path`, replacing what is there, when the block ends well.

    Raises UserError where the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            yield stream
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
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
