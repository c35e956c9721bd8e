"""docs/extending.md, done: its files and changes are made in a copy of the package, its commands run there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_every_block_applies_and_runs(tmp_path: Path, preloaded: str) -> None:
    shutil.copytree(ROOT / "src" / "spnet", tmp_path / "src" / "spnet")
    blocks = BLOCK.findall((ROOT / "docs" / "extending.md").read_text())
    assert {language for language, _, _ in blocks} == {"bash", "diff", "python"}
    for language, title, code in blocks:
        if language == "python":
            assert not (tmp_path / title).exists(), f"{title} is there already"
            (tmp_path / title).write_text(code)
        else:
            command = ["git", "apply", "-"] if language == "diff" else ["bash", "-euo", "pipefail"]
            run_in(tmp_path, preloaded, command, code)
    module = "import spnet.losses.triplet; print(spnet.losses.triplet.__file__)"
    assert run_in(tmp_path, preloaded, ["python", "-"], module).startswith(str(tmp_path))


def run_in(folder: Path, python: str, command: list[str], text: str) -> str:
    path = os.pathsep.join([str(Path(python).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    environment["GIT_CEILING_DIRECTORIES"] = str(folder.parent)  # a folder, not a part of some repository
    done = subprocess.run(
        command, input=text, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout
