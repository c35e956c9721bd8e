"""What README.md shows, done: the blocks marked `<!-- test -->` run one after the other in an empty folder.

What begins with the demo's network runs last, with the network of a minute in its place.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
DEMO_WEIGHTS = "runs/demo/weights.safetensors"
MARKED = re.compile(r"<!-- test -->\n```(bash|python)\n(.*?)```", re.DOTALL)


def test_marked_blocks_run(tmp_path: Path) -> None:
    blocks = MARKED.findall(README.read_text())
    assert {language for language, _ in blocks} == {"bash", "python"}
    assert len(blocks) == README.read_text().count("<!-- test -->")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
    for language, code in sorted(blocks, key=lambda block: DEMO_WEIGHTS in block[1]):
        if DEMO_WEIGHTS in code:
            (tmp_path / DEMO_WEIGHTS).parent.mkdir()
            shutil.copy(tmp_path / "runs/street/weights.safetensors", tmp_path / DEMO_WEIGHTS)
        command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"


def test_the_two_commands_stand_on_the_first_screen() -> None:
    first = "\n".join(README.read_text().splitlines()[:15])
    assert "make demo" in first
    assert "make test" in first
