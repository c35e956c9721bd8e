"""Phases are done once, go on, or start anew."""

from pathlib import Path
from typing import Any

import pytest

from spnet.errors import UserError
from spnet.paper.demo.phases import RECORDS, Phases


class Work:
    """Counts its calls and writes a file in its folder."""

    def __init__(self, interrupted: bool = False) -> None:
        self.calls = 0
        self.found: list[str] = []
        self.interrupted = interrupted

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        self.found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        folder.mkdir(exist_ok=True)
        (folder / f"part{self.calls}").touch()
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt


def run(folder: Path, work: Work, settings: Any = 1, after: Any = 1) -> Phases:
    phases = Phases(folder, total=2)
    phases.run("first", "first thing", {"value": after}, Work())
    phases.run("second", "second thing", {"value": settings}, work, ["first"])
    return phases


def test_a_finished_phase_is_not_done_again_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = Work()
    before = run(tmp_path / "out", work).seconds
    assert "done before" not in capsys.readouterr().out
    assert run(tmp_path / "out", work).seconds == before
    assert capsys.readouterr().out.count("done before") == 2
    assert work.calls == 1


def test_an_interrupted_phase_goes_on_with_what_it_left(tmp_path: Path) -> None:
    work = Work(interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, work)
    run(tmp_path, work)
    assert work.calls == 2
    assert work.found == ["part1"]
    run(tmp_path, work)
    assert work.calls == 2


@pytest.mark.parametrize("change", [{"settings": 2}, {"after": 2}])
def test_a_changed_phase_and_what_follows_start_anew(
    tmp_path: Path, change: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    work = Work()
    run(tmp_path, work)
    run(tmp_path, work, **change)
    assert work.calls == 2
    assert work.found == []
    assert "second thing (anew: its settings changed)" in capsys.readouterr().out


def test_a_phase_whose_folder_is_gone_is_done_again(tmp_path: Path) -> None:
    work = Work()
    run(tmp_path, work)
    for part in (tmp_path / "second").iterdir():
        part.unlink()
    (tmp_path / "second").rmdir()
    run(tmp_path, work)
    assert work.calls == 2


def test_seconds_of_interrupted_attempts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 10.0, 14.0, 20.0, 25.0])  # first phase, interrupted attempt, rest
    monkeypatch.setattr("spnet.paper.demo.phases.time.monotonic", lambda: next(clock))
    work = Work(interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, work)
    assert run(tmp_path, work).seconds == {"first": 1.0, "second": 9.0}


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="holds something else"):
        Phases(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", ["", "[1]", '{"data": 1}', '{"data": {"done": true}}', "\xff"])
def test_damaged_records_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / RECORDS).write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match="damaged"):
        Phases(tmp_path, 1)
