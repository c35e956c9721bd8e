"""Who comes second is told so in one line, and whoever comes afterwards may work."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spnet.cli.main import main
from spnet.errors import UserError
from spnet.files import exclusive_lock


def try_it(folder: Path) -> None:
    """Ends with 3 where somebody else is at work."""
    try:
        with exclusive_lock(folder):
            pass
    except UserError:
        raise SystemExit(3) from None


def other_process(folder: Path) -> int | None:
    """What another process ended with that wanted to work there."""
    process = multiprocessing.get_context("spawn").Process(target=try_it, args=(folder,))
    process.start()
    process.join()
    return process.exitcode


def test_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "runs"
    with exclusive_lock(folder):
        assert other_process(folder) == 3
    assert other_process(folder) == 0


HOLDER = """
import os, sys, time
from pathlib import Path
from spnet.files import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are not forked")
def test_workers_of_a_killed_process_hold_no_lock(tmp_path: Path) -> None:
    """They end seconds after it; meanwhile its run can go on."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        worker = int(holder.stdout.readline())
        holder.kill()
        holder.wait()
        with exclusive_lock(tmp_path):
            os.kill(worker, signal.SIGKILL)


def test_an_error_leaves_nothing_locked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lost"), exclusive_lock(tmp_path):
        raise ValueError("lost")
    with exclusive_lock(tmp_path):
        pass


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(UserError, match="runs: cannot be worked in: File exists"), exclusive_lock(tmp_path / "runs"):
        pass


@pytest.mark.parametrize(
    "command",
    [
        ["demo", "--output"],
        ["reproduce", "table9", "--data", "synthetic", "--scale", "small", "--runs"],
    ],
)
def test_commands_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    with exclusive_lock(tmp_path):
        before = sorted(tmp_path.iterdir())
        assert main([*command, str(tmp_path)]) == 2
        assert f"{tmp_path}: another process is at work there" in capsys.readouterr().err
        assert sorted(tmp_path.iterdir()) == before
