"""The one way to read JSON and to write files: a result appears complete or not at all, so no half of one is used."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from spnet.errors import UserError

LOCK = ".lock"
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


@contextmanager
def atomic_write(path: Path, previous: Path | None = None) -> Iterator[BinaryIO]:
    """Write a file atomically: the stream's content takes the name `path` when the block ends without an error.

    The content is on the disk before the name is, so that after a power cut the name has all of it, old or new. What
    had the name until then takes the name `previous`, if that is given. Raises UserError where the file cannot be
    written.
    """
    partial = _partial_name(path)
    try:
        with partial.open("w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if previous is not None and path.exists():
            path.replace(previous)
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until the names of a folder are on the disk, where the system can say so."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically. Raises UserError where it cannot be written."""
    with atomic_write(path) as stream:
        stream.write(content)


def write_json(path: Path, document: object, indent: int | None = 1) -> None:
    """Write a JSON document atomically; without `indent` on one line, as small as it can be.

    Raises UserError where the file cannot be written, ValueError for a document with NaN or infinity.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(document, indent=indent, separators=separators, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def read_json(path: Path, unique_keys: bool = False) -> Any:
    """Read a JSON document; with `unique_keys`, refuse an object that has a key twice.

    Raises UserError where the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_refuse_repeated_keys if unique_keys else None)
    except FileNotFoundError:
        siblings = sorted(other.stem for other in path.parent.glob("*.json"))
        choices = f"; that folder has {', '.join(siblings)}" if siblings else ""
        raise UserError(f"{path}: no such file{choices}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not JSON: it is not text") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON: line {error.lineno} column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise UserError(f"{path}: not JSON: nested too deeply") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty. Raises UserError where it is missing, unreadable or no text."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not text") from None


def _refuse_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} comes twice in one object")
    return content


@contextmanager
def atomic_directory(output: Path, option: str = "--output") -> Iterator[Path]:
    """Make a directory atomically: the new one takes the name `output` when the block ends, and is removed on an error.

    Raises UserError, naming the option that gave it, where `output` exists and is not empty, or cannot be made.
    """
    check_output_is_free(output, option)
    output = output.resolve()
    partial = _partial_name(output)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{option} {output}: cannot be made: {error.strerror}") from None
    try:
        yield partial
        check_output_is_free(output, option)
        partial.rename(output)
        sync_folder(output.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_output_is_free(output: Path, option: str = "--output") -> None:
    """Raise UserError unless `output` can be made: nothing is ever overwritten. To be called before long work."""
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.exists() or output.is_symlink():
        raise UserError(f"{option} {output}: already exists; remove it, or choose another folder")


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Keep other processes out of `folder` while the block runs; the folder is made if it does not exist.

    Raises UserError where another process holds the lock, or the folder cannot be made.
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


@contextmanager
def name_disk_errors(folder: Path) -> Iterator[None]:
    """Raise UserError naming `folder` for a full or failing disk inside the block, whose errors often name no file."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise UserError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error


def whole_files(folder: Path) -> set[str]:
    """Names of what is in `folder`, but for its lock and what processes left that were killed while they wrote."""
    return {entry.name for entry in folder.iterdir() if entry.name != LOCK and not entry.match(".*.partial")}


def remove_partial(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote in `folder`; its lock has to be held."""
    for partial in folder.rglob(".*.partial"):
        partial.unlink(missing_ok=True)


def _partial_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.partial")
