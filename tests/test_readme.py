"""What README.md shows, done: its marked blocks run one after the other in an empty folder (`readme_folder`)."""

from pathlib import Path

from marked_blocks import README, marked_blocks


def test_marked_blocks_run(readme_folder: Path) -> None:
    assert {block.language for block in marked_blocks(README)} == {"bash", "python"}
    assert (readme_folder / "hits.html").is_file()


def test_the_two_commands_stand_on_the_first_screen() -> None:
    first = "\n".join(README.read_text().splitlines()[:15])
    assert "make demo" in first
    assert "make test" in first
