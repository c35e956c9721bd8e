"""Makes this folder importable, so that tests of several rooms share `miniature`; and what holds for all tests."""

import os
import signal

import pytest

# sums of several threads are not the same to the bit each time; for what the tests start, too
os.environ["OMP_NUM_THREADS"] = "1"
# ignored where pytest was started in the background, and then by all it starts
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures, which takes seconds, but in a process that only deals tests out to others."""
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        config.pluginmanager.import_plugin("shared_fixtures")
