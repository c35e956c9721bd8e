"""The same release gives the same bytes, and a killed run leaves nothing that looks finished."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from releases import SOURCES, arguments_of, copy_release

from spnet.cli.main import main

SLOW_WRITER = """
import os, signal, sys
from spnet.data import schema
written = []
def write_and_die(path, document, indent, write=schema.write_json):
    write(path, document, indent)
    written.append(path)
    if len(written) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
schema.write_json = write_and_die
from spnet.cli.main import main
main(sys.argv[1:])
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def prepare(source: str, root: Path, output: Path, hash_seed: str) -> dict[str, bytes]:
    command = [sys.executable, "-m", "spnet.cli.main", *arguments_of(source, root), "--output", str(output)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": hash_seed})
    return contents(output)


@pytest.mark.parametrize("source", ["mot", "coco", "yolo", "crops", "cuhk-sysu", "prw", "cocopersons"])
def test_hash_seed_and_directory_order_do_not_matter(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = SOURCES.get(source) or copy_release(source, tmp_path / "release")
    first = prepare(source, root, tmp_path / "first", "1")
    assert len(first) >= 3
    assert prepare(source, root, tmp_path / "second", "2") == first
    listing = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter(sorted(listing(folder), reverse=True)))
    assert main([*arguments_of(source, root), "--output", str(tmp_path / "third")]) == 0
    assert contents(tmp_path / "third") == first


def test_a_killed_run_leaves_no_output(tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = ["prepare", "prw", "--source", str(SOURCES["prw"]), "--output", str(output)]
    killed = subprocess.run([sys.executable, "-c", SLOW_WRITER, *arguments], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not output.exists()
    assert all(path.name.startswith(".") for path in tmp_path.iterdir())
    assert main(arguments) == 0
