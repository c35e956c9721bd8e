"""Finds a release at, below or just above the folder someone points at (archives unpack a level off), and its files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from spnet.errors import UserError


def find_root(source: Path, expected_files: Sequence[str], release: str) -> Path:
    """The nearest folder that holds any of the `expected_files` (relative paths).

    Looked at in turn: `source`, its sub-folders to two levels, the two folders above it. Raises UserError where none
    has one, or two at the same distance have.
    """
    if not source.is_dir():
        raise UserError(f"--source {source}: no such folder")
    for candidates in _neighborhood(source.resolve()):
        found = [folder for folder in candidates if any((folder / mark).exists() for mark in expected_files)]
        if len(found) > 1:
            raise UserError(f"--source {source}: holds {release} twice: {found[0]} and {found[1]}; name one of them")
        if found:
            return found[0]
    raise UserError(
        f"--source {source}: no {release} here: looked for {' or '.join(expected_files)}, also two levels below"
    )


def _neighborhood(source: Path) -> Iterator[list[Path]]:
    """Groups of folders at the same distance, nearest first."""
    below = [source]
    yield below
    for _ in range(2):
        below = sorted(child for folder in below for child in _folders_in(folder))
        yield below
    for parent in list(source.parents)[:2]:
        yield [parent]


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [child for child in folder.iterdir() if child.is_dir()]
    except PermissionError:
        return []


def find_folder(root: Path, names: Sequence[str], content: str) -> Path:
    """The first of several usual sub-folders that exists. Raises UserError naming them and their content."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise UserError(f"{root / names[0]}: no such folder; the release keeps its {content} there")


def read_bytes(path: Path, hint: str) -> bytes:
    """A file's content. Raises UserError where it cannot be read; `hint` is for one that is missing."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {hint}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def read_lines(path: Path, hint: str) -> list[tuple[int, str]]:
    """Numbers and lines of a text file, whatever its line ends; blank lines are left out. Raises UserError."""
    try:
        lines = read_bytes(path, hint).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: cannot be read: it is not text") from None
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
