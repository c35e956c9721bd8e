"""The preloaded Python does what Python does: a command that fails on a page has to fail its test."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CODE = "import os, sys; print(sys.argv, os.getcwd(), os.environ['MINE'], {}); print(input(), file=sys.stderr)"
LOADED = "'torch' in sys.modules"
STATUSES = {signal.SIGINT: 256 - 2, signal.SIGTERM: 256 - 15, signal.SIGKILL: -9}  # of a caller that is sent the signal


def run(python: str, arguments: list[str], folder: Path, text: str = "read") -> tuple[int, str, str]:
    done = subprocess.run(
        [python, *arguments], cwd=folder, env=os.environ | {"MINE": "1"}, input=text, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments", [["-c", CODE.format(1), "a", "b c"], ["file.py", "a", "b c"], ["-m", "file", "a"]]
)
def test_arguments_folder_environment_and_streams(arguments: list[str], preloaded: str, tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(CODE.format("__name__"))
    expected = run(sys.executable, arguments, tmp_path)
    assert expected[0] == 0
    assert run(preloaded, arguments, tmp_path) == expected


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(3)", 3),
        ("1 / 0", 1),
        ("import sys; sys.exit('no')", 1),
        ("import os; os.kill(os.getpid(), 9)", 256 - 9),
        ("import sys; sys.exit(0 if " + LOADED + " else 4)", 0),
    ],
)
def test_statuses(code: str, status: int, preloaded: str, tmp_path: Path) -> None:
    assert run(preloaded, ["-c", code], tmp_path)[0] == status
    assert run(preloaded, ["-"], tmp_path, code)[0] == status


def test_open_files_are_passed_on(preloaded: str) -> None:
    """By their numbers, as multiprocessing has it."""
    read, write = os.pipe()
    files = (write, os.dup2(write, 90))
    code = "import os, sys; [os.write(int(number), number.encode()) for number in sys.argv[1:]]"
    subprocess.run([preloaded, "-c", code, *map(str, files)], pass_fds=files, check=True, timeout=60)
    assert os.read(read, 9) == b"%d%d" % files
    for file in (read, *files):
        os.close(file)


@pytest.mark.parametrize("number", STATUSES)
def test_signals_reach_the_fork(number: signal.Signals, preloaded: str, tmp_path: Path) -> None:
    """A caller that was killed takes its fork with it."""
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(20); print(1)"
    with subprocess.Popen([preloaded, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        os.kill(int(process.stdout.readline()), 0)  # it is another process, and there
        process.send_signal(number)
        assert process.wait(30) == STATUSES[number]
        assert process.stdout.read() == b""  # the fork, which would write there, is gone


def test_spnet_is_beside_it_and_ends_with_2_after_a_mistake(preloaded: str, tmp_path: Path) -> None:
    status, _, error = run(str(Path(preloaded).with_name("spnet")), ["inspect", "nowhere"], tmp_path)
    assert status == 2
    assert error.startswith("spnet inspect: error: nowhere")
