"""Makes this folder importable, so that tests of several rooms share `miniature`; and what holds for all tests."""

import multiprocessing
import os
import signal
import sys
from contextlib import ExitStack
from typing import Any

import pytest

from preloaded import preload

# sums of several threads are not the same to the bit each time; for what the tests start, too
os.environ["OMP_NUM_THREADS"] = "1"
# ignored where pytest was started in the background, and then by all it starts
signal.signal(signal.SIGINT, signal.default_int_handler)

PRELOADED = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures, which takes seconds, but in a process that only deals tests out to others.

    Those others are forks of one Python that has PyTorch imported, but start what they start with `python` itself.
    """
    if workerinput := getattr(config, "workerinput", None):
        sys.executable = workerinput["python"]
        multiprocessing.set_executable(workerinput["preloaded"])  # of the server that forks processes
    if workerinput or config.getoption("dist", "no") == "no":
        config.pluginmanager.import_plugin("shared_fixtures")
    elif not config.getoption("collectonly"):
        stack = ExitStack()
        config.add_cleanup(stack.close)
        config.stash[PRELOADED] = stack.enter_context(preload())
        config.option.tx = [f"{spec}//python={config.stash[PRELOADED]}" for spec in config.option.tx]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # xdist has no types
    """Name both Pythons to a process of pytest-xdist."""
    node.workerinput.update(python=sys.executable, preloaded=node.config.stash[PRELOADED])
