"""Jobs in turn and side by side: order, what goes wrong said by name, and Ctrl-C that reaches every process once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import toy_jobs
from toy_jobs import PATIENCE, count_threads, crash, end, kill, meet, note, refuse, speak, take_part

from spnet.paper.process_pool import Job, run_jobs


@pytest.mark.parametrize("at_once", [1, 2])
def test_predecessors_come_first(at_once: int, tmp_path: Path) -> None:
    file = tmp_path / "order"
    jobs = [Job("a", partial(note, file, "a")), Job("b", partial(note, file, "b"), ("a",))]
    jobs.append(Job("c", partial(note, file, "c"), ("a", "b")))
    assert run_jobs(jobs, at_once) == {}
    assert file.read_text() == "a\nb\nc\n"


def test_nothing_to_do() -> None:
    assert run_jobs([], 1) == run_jobs([], 2) == {}


def test_two_are_done_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the other."""
    one, other = tmp_path / "one", tmp_path / "other"
    jobs = [Job("one", partial(meet, one, other)), Job("other", partial(meet, other, one))]
    assert run_jobs(jobs, 2) == {}


def test_never_more_than_so_many_at_once(tmp_path: Path) -> None:
    assert run_jobs([Job(name, partial(take_part, tmp_path, name)) for name in "abcd"], 2) == {}
    counts = (tmp_path / "count").read_text().split()
    assert len(counts) == 4
    assert set(counts) <= {"1", "2"}


@pytest.mark.parametrize("at_once", [1, 2])
def test_what_a_job_refuses_is_told_by_name_and_the_rest_is_done(at_once: int, tmp_path: Path) -> None:
    jobs = [
        Job("a", partial(refuse, "box 3 of scene 7 is empty")),
        Job("b", partial(note, tmp_path / "b", ""), ("a",)),
        Job("c", partial(note, tmp_path / "c", ""), ("b",)),
        Job("d", partial(note, tmp_path / "d", "")),
        Job("e", partial(note, tmp_path / "e", ""), ("d",)),
    ]
    problems = run_jobs(jobs, at_once)
    assert problems == {"a": "box 3 of scene 7 is empty", "b": "a was not done", "c": "b was not done"}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["d", "e"]


def test_crashes_say_their_status(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    works: dict[str, Callable[[], object]] = {"crash": crash, "end": partial(end, 3), "kill": kill}
    jobs = [Job(name, work) for name, work in works.items()]
    jobs += [
        Job("after", partial(note, tmp_path / "after", ""), ("end",)),
        Job("well", partial(note, tmp_path / "w", "")),
    ]
    assert run_jobs(jobs, 2) == {
        "crash": "it ended with status 1",
        "end": "it ended with status 3",
        "kill": "it ended with status -9",
        "after": "end was not done",
    }
    assert "RuntimeError: a mistake of ours" in capfd.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["w"]


def test_our_own_mistakes_in_turn_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        run_jobs([Job("a", crash)])


@pytest.mark.parametrize(("cores", "threads"), [(8, 4), (3, 1), (1, 1), (None, 1)])
def test_cores_are_divided(cores: int | None, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert run_jobs([Job("a", partial(count_threads, tmp_path / "threads"))], 2) == {}
    assert (tmp_path / "threads").read_text() == f"{threads} {threads}\n"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_each_line_says_who_speaks(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_jobs([Job("a job", speak)], 2) == {}
    printed = capfd.readouterr()
    assert printed.out == "a job: one\na job: two\na job: half a line\n"
    assert printed.err == "a job: aside\n"


def start(kind: str, folder: Path) -> subprocess.Popen[str]:
    """The program of `toy_jobs`, in a group of its own as a terminal gives it one."""
    paths = [str(Path(toy_jobs.__file__).parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, toy_jobs.__file__, kind, str(folder)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )


def wait_for_all(files: list[Path], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE
    while not all(file.exists() for file in files):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)


SIGNALS: dict[str, Callable[[int], None]] = {
    "Ctrl-C in a terminal": lambda process: os.killpg(process, signal.SIGINT),
    "SIGINT": lambda process: os.kill(process, signal.SIGINT),
    "SIGTERM": lambda process: os.kill(process, signal.SIGTERM),
}


def interrupt_once(process: subprocess.Popen[str], files: list[Path], sent: str) -> None:
    """As soon as the files are there; it ends as interrupted programs do, and says nothing."""
    try:
        wait_for_all(files, process)
        SIGNALS[sent](process.pid)
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors == ""


@pytest.mark.parametrize("sent", SIGNALS)
def test_an_interrupt_reaches_every_process_once_and_all_are_waited_for(sent: str, tmp_path: Path) -> None:
    interrupt_once(start("long", tmp_path), [tmp_path / "began a", tmp_path / "began b"], sent)
    assert [(tmp_path / f"ended {name}").read_text() for name in "ab"] == ["interrupts: 1\n"] * 2
    assert (tmp_path / "parent").read_text() == "began a began b ended a ended b\n"


@pytest.mark.parametrize("sent", ["Ctrl-C in a terminal", "SIGINT"])
def test_an_interrupt_while_processes_load_is_kept_for_them(sent: str, tmp_path: Path) -> None:
    """They end when they have loaded, without a traceback, and never begin."""
    interrupt_once(start("slow", tmp_path), [tmp_path / "loading a"], sent)
    assert not list(tmp_path.glob("began *"))


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_list_in_another_order_is_our_own_mistake(at_once: int, tmp_path: Path) -> None:
    """It would never be its turn."""
    jobs = [Job("a", partial(note, tmp_path / "a", ""), ("b",)), Job("b", partial(note, tmp_path / "b", ""))]
    with pytest.raises(ValueError, match=r"job 'a' comes after \{'b'\}"):
        run_jobs(jobs, at_once)
    assert list(tmp_path.iterdir()) == []
