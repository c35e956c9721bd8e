"""A Python that has PyTorch and Lightning imported: what pages show is run by forks of it, seconds faster each.

`preload` makes a folder with a `python` and an `spnet`. Both ask one server, which forks: the fork has their arguments,
folder, environment and open files, and they end with its status. Nothing of spnet is imported before.
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
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

LONGEST = 2**20  # of a message, bytes
SCRIPT = '#!/bin/sh\nexec "{python}" -IS "{file}" ask "{address}" {arguments} "$@"\n'


@contextmanager
def preload() -> Iterator[str]:
    """Start the server; yields the path of the folder's `python`."""
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short
        yield from _preload(Path(folder))


def _preload(folder: Path) -> Iterator[str]:
    address = folder / "socket"
    for name, arguments in (("python", ""), ("spnet", "-m spnet.cli.main")):
        script = SCRIPT.format(python=sys.executable, file=__file__, address=address, arguments=arguments)
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    with subprocess.Popen([sys.executable, __file__, "serve", str(address)]) as server:
        try:
            until = time.monotonic() + 120
            while not address.exists():
                assert server.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            yield str(folder / "python")
        finally:
            server.kill()


def ask(address: str, arguments: list[str]) -> int:
    """Have a fork run `python ARGUMENTS`; returns its status."""
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(address)
        socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
        status = connection.recv(1)
    return status[0] if status else 255


def serve(address: str) -> dict[str, Any]:
    """Fork for each caller. Returns in the forks alone, with what to run."""
    import lightning.pytorch  # noqa: F401
    import torchvision  # noqa: F401

    gc.freeze()  # forks end without looking at what they did not make
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            message, files, _, _ = socket.recv_fds(connection, LONGEST, 3)
            if child := os.fork():
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                connection.send(bytes([status & 255]))
                os._exit(0)
            connection.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            request: dict[str, Any] = json.loads(message)
            return request | {"python": str(Path(address).with_name("python"))}
        connection.close()


def become(arguments: list[str], folder: str, environment: dict[str, str], python: str) -> None:
    """Do what `python ARGUMENTS` does: `-c CODE`, `-m MODULE`, `FILE` or `-` with what follows."""
    os.chdir(folder)
    sys.executable = python  # what this starts is a fork too
    os.environ.clear()
    os.environ.update(environment)
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    first, *rest = arguments[arguments[0] == "-u" :]  # torchrun says so
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
