"""Ways to damage a copied release, and the check that preparing it then fails as it should."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from releases import arguments_of, copy_release, edit_json, edit_lines, edit_mat, truncate

from spnet.cli.main import main

Damage = Callable[[Path], Any]


def remove(file: str) -> Damage:
    return lambda root: (root / file).unlink()


def cut(file: str) -> Damage:
    return lambda root: truncate(root / file)


def fill(file: str, content: bytes) -> Damage:
    return lambda root: (root / file).write_bytes(content)


def mat(file: str, edit: Callable[[dict[str, Any]], Any]) -> Damage:
    return lambda root: edit_mat(root / file, edit)


def text(file: str, edit: Callable[[list[str]], Any]) -> Damage:
    return lambda root: edit_lines(root / file, edit)


def json_file(file: str, edit: Callable[[Any], Any]) -> Damage:
    return lambda root: edit_json(root / file, edit)


def rename(old: str, new: str) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content.update({new: content.pop(old)})


def put(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content.update({key: value})


def check_refusal(source: str, damage: Damage, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Damage a copy of the release below `folder`: one line that matches `message`, status 2, no output."""
    root = copy_release(source, folder / "release")
    damage(root)
    refused(source, root, folder / "made" / "out", message, capsys)


def refused(source: str, root: Path, output: Path, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments_of(source, root), "--output", str(output)]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert re.search(message, printed.err), printed.err
    assert not output.parent.exists() or not list(output.parent.iterdir())
