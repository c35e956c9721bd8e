"""The map of the house names every file in it."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_source_file_has_a_line() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    files = [path.relative_to(ROOT / "src/spnet").as_posix() for path in (ROOT / "src/spnet").rglob("*.py")]
    assert not [file for file in files if not file.endswith("__init__.py") and f"`{file}`" not in text]


def test_no_line_is_left_of_a_file_that_went() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text().partition("## A line for each file")[2]
    named = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert named
    assert not [file for file in named if not (ROOT / "src/spnet" / file).is_file()]
