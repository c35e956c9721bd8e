"""Texts kept in the repository, so that what people rely on changes only when somebody means it to."""

import os
from pathlib import Path


def assert_golden(file: Path, text: str) -> None:
    """The file holds this text; with SPNET_GOLDEN=write in the environment the file is written instead."""
    if os.environ.get("SPNET_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text(), f"{file.name} differs: if that is meant, run this test with SPNET_GOLDEN=write"
