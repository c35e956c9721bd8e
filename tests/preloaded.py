"""A Python that has PyTorch, Lightning and more imported: what pages show is run by forks of it, seconds faster each.

`preload` makes a folder with a `python` and an `spnet`. Both ask one server, which forks: the fork has their arguments,
folder, environment and open files, gets the signals that they get, SIGKILL too, and they end with its status. Nothing
of spnet is imported before.
"""

import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import F_DUPFD, fcntl
from importlib import import_module
from itertools import dropwhile
from pathlib import Path
from types import ModuleType
from typing import Any

WITHOUT_THREADS = (  # what takes long to import, and starts none
    "lightning.pytorch", "torchvision", "timm", "torch.utils.tensorboard", "sklearn", "lance_namespace",
    "pyarrow.dataset", "cv2", "av", "onnxscript", "fastapi",
)  # fmt: skip
PASSED_ON = (signal.SIGINT, signal.SIGTERM)
MOST_FILES = 64  # that a caller has open
PATIENCE = 5.0  # seconds between looks whether the tests still run
SCRIPT = '#!/bin/sh\nexec "{python}" -IS "{file}" ask "{address}" {arguments} "$@"\n'


@contextmanager
def preload() -> Iterator[str]:
    """Start the server; yields the path of the folder's `python`."""
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short
        address = Path(folder) / "socket"
        for name, arguments in (("python", ""), ("spnet", "-m spnet.cli.main")):
            script = SCRIPT.format(python=sys.executable, file=__file__, address=address, arguments=arguments)
            address.with_name(name).write_text(script)
            address.with_name(name).chmod(0o755)
        with subprocess.Popen([sys.executable, __file__, "serve", str(address)]) as server:
            try:
                wait_for(address, server)
                yield str(address.with_name("python"))
            finally:
                server.kill()


def wait_for(address: Path, server: "subprocess.Popen[bytes]") -> None:
    """Until the server is there."""
    until = time.monotonic() + 120
    while not address.exists():
        assert server.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)


def ask(address: str, arguments: list[str]) -> int:
    """Have a fork run `python ARGUMENTS`; returns its status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # until it is known to whom
    files = open_files()
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ), "files": files}
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rwb") as stream:
        connection.connect(address)
        socket.send_fds(connection, [b"."], files)
        stream.write(json.dumps(request).encode() + b"\n")
        stream.flush()
        fork = int(stream.readline())
        for number in PASSED_ON:
            signal.signal(number, lambda number, frame: os.kill(fork, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        return int(stream.readline() or 255)


def open_files() -> list[int]:
    """Their numbers: the three of each process, and what its parent passes on to it."""
    listed = map(int, os.listdir("/proc/self/fd"))  # which was open itself, and is no more
    return [number for number in listed if Path(f"/proc/self/fd/{number}").exists()]


def serve(address: str) -> dict[str, Any]:
    """Fork for each caller. Returns in the forks alone, with what to run."""
    for name in WITHOUT_THREADS:
        with suppress(ImportError):
            import_module(name)

    gc.freeze()  # forks end without looking at what they did not make
    parent, listener = os.getppid(), socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    listener.settimeout(PATIENCE)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while os.getppid() == parent:
        with suppress(TimeoutError):
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                return {**answer(connection), "python": str(Path(address).with_name("python"))}
            connection.close()
    sys.exit()


def answer(connection: socket.socket) -> dict[str, Any]:
    """Take over a caller's files, and tell it the status of the fork in which this returns its request."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, received, _, _ = socket.recv_fds(connection, 1, MOST_FILES)
    with connection.makefile("rb") as stream:
        request: dict[str, Any] = json.loads(stream.readline())
    files = dict(zip(request.pop("files"), received, strict=True))
    if fork := os.fork():
        for file in received:
            os.close(file)
        threading.Thread(target=kill_with_caller, args=(fork, connection), daemon=True).start()
        with suppress(OSError):  # the caller was killed
            connection.sendall(b"%d\n" % fork)
            status = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
            connection.sendall(b"%d\n" % (status & 255))
        os._exit(0)
    connection.close()
    aside = {number: fcntl(file, F_DUPFD, MOST_FILES + max(files)) for number, file in files.items()}
    for file in received:
        os.close(file)
    for number, file in aside.items():
        os.dup2(file, number)
        os.close(file)
    return request


def kill_with_caller(fork: int, connection: socket.socket) -> None:
    """Kill a fork when its caller is there no more, which says nothing else."""
    with suppress(ConnectionResetError):  # it had not read what it was sent
        connection.recv(1)
    with suppress(ProcessLookupError):
        os.kill(fork, signal.SIGKILL)


def become(arguments: list[str], folder: str, environment: dict[str, str], python: str) -> None:
    """Do what `python ARGUMENTS` does: `-c CODE`, `-m MODULE`, `FILE` or `-` with what follows."""
    os.chdir(folder)
    sys.executable = python  # what this starts is a fork too
    os.environ.clear()
    os.environ.update(environment)
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    first, *rest = dropwhile(lambda word: word in ("-u", "-B"), arguments)  # as torchrun and pytest-xdist say
    sys.path[:1] = ["" if first in ("-", "-c", "-m") else str(Path(first).parent.resolve()), *paths]
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first in ("-", "-c"):
        sys.argv = [first, *rest[first == "-c" :]]
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(sys.stdin.read() if first == "-" else rest[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        sys.exit(ask(sys.argv[2], sys.argv[3:]))
    become(**serve(sys.argv[2]))
