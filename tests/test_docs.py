"""What README.md and the pages of docs/ show, done; and the site they make."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import spnet
from footage import HEIGHT, WIDTH, render
from marked_blocks import README, TEST, blocks_of, marked_blocks, run_readme

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OWN_TEST = {  # pages whose blocks run elsewhere
    "evaluation.md": "tests/evaluation/test_evaluation_guide.py",
    "export.md": "tests/export/test_export.py",
    "extending.md": "tests/test_extending.py",
    "searching.md": "tests/gallery/test_search_guide.py",
}
UNMARKED = {  # blocks that all run, and commands that say how values came about that were measured once
    "evaluation.md", "extending.md", "results.md",
}  # fmt: skip
PAGES = {page.relative_to(DOCS).as_posix(): page for page in sorted(DOCS.rglob("*.md"))}
RUN_HERE = [name for name in PAGES if name not in OWN_TEST]
SMALLER = {  # what a page says, and what is run of it: minutes and own video become seconds and what `folder` has
    "--scenes 300 --identities 50": "--scenes 12 --identities 4",
    "--output runs/street --optimizer.epochs 20": (
        "--output runs/street --optimizer.epochs 1 --data.augmentation.crop_size 96"
    ),
    '"--seed", "1"': '"--optimizer.epochs", "1", "--data.augmentation.crop_size", "96"',
    "--every 30": "--every 1",
    "spnet train spnet-lite": "spnet train spnet-tiny --optimizer.epochs 1 --data.augmentation.crop_size 64",
}


def smaller(code: str) -> str:
    """What is run of a page's code."""
    for said, run in SMALLER.items():
        code = code.replace(said, run)
    return code


@pytest.fixture(scope="module")
def readme_folder(preloaded: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the marked blocks of README.md have been run, for pages that go on from there."""
    folder = tmp_path_factory.mktemp("readme")
    run_readme(folder, preloaded)
    return folder


@pytest.fixture(scope="module")
def folder(readme_folder: Path) -> Path:
    """Where README.md was followed, so that data and a run are there; and annotated video."""
    for camera in ("gate", "yard"):
        sequence = readme_folder / "videos" / camera
        (sequence / "img1").mkdir(parents=True)
        (sequence / "gt").mkdir()
        for frame in range(1, 7):
            Image.fromarray(render(frame / 10)).save(sequence / "img1" / f"{frame:06d}.jpg")
        people = [f"{frame},{person},{60 * person - 50},12,16,44,1,1,1" for frame in range(1, 7) for person in (1, 2)]
        (sequence / "gt" / "gt.txt").write_text("\n".join(people))
        size = f"imWidth={WIDTH}\nimHeight={HEIGHT}"
        (sequence / "seqinfo.ini").write_text(f"[Sequence]\nimDir=img1\nseqLength=6\n{size}\nimExt=.jpg\n")
    return readme_folder


def test_readme_runs(readme_folder: Path) -> None:
    assert {block.language for block in marked_blocks(README)} == {"bash", "python"}
    assert (readme_folder / "hits.html").is_file()


def test_the_two_commands_stand_on_the_first_screen() -> None:
    first = "\n".join(README.read_text().splitlines()[:15])
    assert "make demo" in first
    assert "make test" in first


@pytest.mark.parametrize("name", [name for name in RUN_HERE if marked_blocks(PAGES[name])])
def test_marked_blocks_run(name: str, folder: Path, preloaded: str) -> None:
    """Commands that README.md shows too have been run there."""
    done = {line for block in marked_blocks(README) if block.language == "bash" for line in block.code.splitlines()}
    for block in marked_blocks(PAGES[name]):
        lines = smaller(block.code).splitlines()
        if block.language == "bash":
            lines = [line for line in lines if line not in done]
        if lines:
            replace(block, code="\n".join(lines)).run(folder, preloaded)


def test_every_smaller_command_is_on_a_page() -> None:
    pages = "".join(PAGES[name].read_text() for name in RUN_HERE)
    assert [said for said in SMALLER if said not in pages] == []


def test_every_block_is_run_or_says_why_not() -> None:
    blocks = [block for name in PAGES if name not in UNMARKED for block in blocks_of(PAGES[name])]
    assert [f"{block.page.name}: {block.code}" for block in blocks if not block.marker] == []
    assert {block.marker for block in blocks} > {TEST}


@pytest.mark.parametrize("name", OWN_TEST)
def test_pages_with_a_test_of_their_own_are_named_there(name: str) -> None:
    assert f'"{name}"' in (ROOT / OWN_TEST[name]).read_text()


def test_the_reference_has_every_public_name() -> None:
    listed = re.findall(r"^\.\. auto(?:class|function|exception):: (\w+)$", PAGES["api.md"].read_text(), re.MULTILINE)
    assert sorted(listed) == spnet.__all__


def test_no_page_has_the_name_of_one_that_sphinx_makes() -> None:
    assert {"search.md", "genindex.md"}.isdisjoint(PAGES)


@pytest.mark.parametrize("file", [path.relative_to(DOCS).as_posix() for path in (DOCS / "images").iterdir()])
def test_images_are_small_and_used(file: str) -> None:
    assert (DOCS / file).stat().st_size < 200_000
    assert any(file in page.read_text() for page in [README, *PAGES.values()])


@pytest.mark.full
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Every link between pages, name of the reference and formula; nothing in the pages is loaded from elsewhere."""
    pytest.importorskip("sphinx", reason="the site needs the extra [docs]")
    options = ["-b", "html", "--fail-on-warning", "--keep-going", "--nitpicky", "-d", str(tmp_path / "doctrees")]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(DOCS), str(tmp_path / "site")],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    for name in PAGES:
        page = (tmp_path / "site" / name).with_suffix(".html").read_text()
        assert re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]+", page) == [], name
