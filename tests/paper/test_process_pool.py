"""Jobs in turn and side by side: order, logs, what goes wrong said by name, and Ctrl-C that reaches each once."""

import logging
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_jobs import PATIENCE, toy

from spnet.paper.process_pool import Job, run_jobs


@pytest.mark.parametrize("at_once", [1, 2])
def test_predecessors_come_first(at_once: int, tmp_path: Path) -> None:
    file = tmp_path / "order"
    jobs = [Job("a", toy("note", file, "a")), Job("b", toy("note", file, "b"), ("a",))]
    jobs.append(Job("c", toy("note", file, "c"), ("a", "b")))
    assert run_jobs(jobs, at_once, tmp_path / "logs") == {}
    assert file.read_text() == "a\nb\nc\n"


def test_nothing_to_do(tmp_path: Path) -> None:
    assert run_jobs([], 1, tmp_path) == run_jobs([], 2, tmp_path) == {}


def test_two_are_done_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the other."""
    one, other = tmp_path / "one", tmp_path / "other"
    jobs = [Job("one", toy("meet", one, other)), Job("other", toy("meet", other, one))]
    assert run_jobs(jobs, 2, tmp_path / "logs") == {}


def test_never_more_than_so_many_at_once(tmp_path: Path) -> None:
    jobs = [Job(name, toy("take_part", tmp_path, name)) for name in "abcd"]
    assert run_jobs(jobs, 2, tmp_path / "logs") == {}
    counts = (tmp_path / "count").read_text().split()
    assert len(counts) == 4
    assert set(counts) <= {"1", "2"}


@pytest.mark.parametrize("at_once", [1, 2])
def test_what_a_job_refuses_is_said_by_name_and_the_rest_is_done(at_once: int, tmp_path: Path) -> None:
    jobs = [
        Job("a", toy("refuse", "box 3 of scene 7 is empty")),
        Job("b", toy("note", tmp_path / "b", ""), ("a",)),
        Job("c", toy("note", tmp_path / "c", ""), ("b",)),
        Job("d", toy("note", tmp_path / "d", "")),
        Job("e", toy("note", tmp_path / "e", ""), ("d",)),
    ]
    problems = run_jobs(jobs, at_once, tmp_path / "logs")
    assert problems == {"a": "box 3 of scene 7 is empty", "b": "a was not done", "c": "b was not done"}
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == ["d", "e"]


def test_crashes_say_their_status_and_where_the_log_is(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    commands = {"crash": toy("crash"), "end": toy("end", 3), "kill": toy("kill")}
    jobs = [Job(name, command) for name, command in commands.items()]
    jobs += [
        Job("after", toy("note", tmp_path / "after", ""), ("end",)),
        Job("well", toy("note", tmp_path / "w", "")),
    ]
    assert run_jobs(jobs, 2, logs) == {
        "crash": f"it ended with status 1; see {logs / 'crash.log'}",
        "end": f"it ended with status 3; see {logs / 'end.log'}",
        "kill": f"it ended with status -9; see {logs / 'kill.log'}",
        "after": "end was not done",
    }
    assert "RuntimeError: a mistake of ours" in (logs / "crash.log").read_text()
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["w"]


@pytest.mark.parametrize(
    ("cores", "at_once", "threads"), [(8, 2, "4 4"), (3, 2, "1 1"), (1, 2, "1 1"), (None, 2, "1 1"), (8, 1, "7 None")]
)
def test_cores_are_divided(
    cores: int | None, at_once: int, threads: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job at a time has what its parent has."""
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert run_jobs([Job("a", toy("count_threads", tmp_path / "threads"))], at_once, tmp_path) == {}
    assert (tmp_path / "threads").read_text() == f"{threads}\n"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_log_has_the_command_and_all_that_it_wrote(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A second attempt is added."""
    caplog.set_level(logging.INFO, "spnet")
    job = Job("a job", toy("speak"))
    for _ in range(2):
        assert run_jobs([job], 2, tmp_path / "logs") == {}
    file = tmp_path / "logs" / "a job.log"
    assert file.read_text() == 2 * f"$ {shlex.join(job.command)}\none\ntwo\naside\n"
    assert caplog.messages[0] == f"a job: started; log: {file}"
    assert caplog.messages[1].startswith("a job: done in ")
    assert capfd.readouterr().out == ""


def start(kind: str, folder: Path) -> subprocess.Popen[str]:
    """Two toy jobs below a program in a group of its own, as a terminal gives it one."""
    return subprocess.Popen(toy("run_two", kind, folder), stderr=subprocess.PIPE, text=True, start_new_session=True)


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
    interrupt_once(start("work_until_stopped", tmp_path), [tmp_path / "began a", tmp_path / "began b"], sent)
    assert [(tmp_path / f"ended {name}").read_text() for name in "ab"] == ["signals: 1\n"] * 2
    assert (tmp_path / "parent").read_text() == "began a began b ended a ended b\n"


@pytest.mark.parametrize("sent", SIGNALS)
def test_an_interrupt_while_processes_load_ends_them(sent: str, tmp_path: Path) -> None:
    interrupt_once(start("load_slowly", tmp_path), [tmp_path / "loading a"], sent)
    assert (tmp_path / "parent").exists()
    assert not list(tmp_path.glob("began *"))


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_list_in_another_order_is_our_own_mistake(at_once: int, tmp_path: Path) -> None:
    """It would never be its turn."""
    jobs = [Job("a", toy("note", tmp_path / "a", ""), ("b",)), Job("b", toy("note", tmp_path / "b", ""))]
    with pytest.raises(ValueError, match=r"job 'a' comes after \{'b'\}"):
        run_jobs(jobs, at_once, tmp_path)
    assert list(tmp_path.iterdir()) == []
