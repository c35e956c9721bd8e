"""Code that pages show: blocks after a line `<!-- test -->` are run, one after `<!-- not run: WHY -->` is not."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent

README = Path(__file__).parents[1] / "README.md"
TEST = "test"
BLOCK = re.compile(
    r"(?:^ *<!-- (?P<marker>test|not run: [^>]+) -->\n)?^ *```(?P<language>bash|python)\b[^\n]*\n(?P<code>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A block of commands or Python."""

    page: Path
    marker: str  # empty: it has none
    language: str
    code: str

    def run(self, folder: Path, python: str = sys.executable, variables: Mapping[str, str] = os.environ) -> str:
        """Run it in `folder` with this Python; it must end with status 0. Returns what it printed."""
        path = os.pathsep.join([str(Path(python).parent), variables["PATH"]])
        environment = {**variables, "PATH": path, "OMP_NUM_THREADS": "1"}
        start = [python, "-c"] if self.language == "python" else ["bash", "-euo", "pipefail", "-c"]
        done = subprocess.run(
            [*start, self.code], cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, f"{self.page}\n{self.code}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def blocks_of(page: Path) -> Iterator[Block]:
    """All blocks of a page, in its order."""
    for match in BLOCK.finditer(page.read_text()):
        yield Block(page, match["marker"] or "", match["language"], dedent(match["code"]))


def marked_blocks(page: Path) -> list[Block]:
    """The blocks that are to be run."""
    blocks = [block for block in blocks_of(page) if block.marker == TEST]
    assert len(blocks) == page.read_text().count("<!-- test -->"), f"{page}: a marker without a block"
    return blocks


def with_fewer_frames(block: Block) -> Block:
    """The block with one frame a second of the videos indexed."""
    return replace(block, code=re.sub(r"fps([ =])[25]\b", r"fps\g<1>1", block.code))


def run_readme(folder: Path, python: str = sys.executable, variables: Mapping[str, str] = os.environ) -> None:
    """Run the marked blocks of README.md in `folder`, with fewer frames of its videos.

    What begins with the demo's network runs last, with the network of a minute in its place.
    """
    demo = folder / "runs/demo/weights.safetensors"
    for block in sorted(marked_blocks(README), key=lambda block: "runs/demo/" in block.code):
        if "runs/demo/" in block.code:
            demo.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "runs/street/weights.safetensors", demo)
        with_fewer_frames(block).run(folder, python, variables)
