"""Texts and figures kept in the repository, so that what people rely on changes only when somebody means it to."""

import json
import os
from pathlib import Path

import pytest

HINT = "differs: if that is meant, run this test with SPNET_GOLDEN=write"


def assert_golden(file: Path, text: str) -> None:
    """The file holds this text; with SPNET_GOLDEN=write in the environment the file is written instead."""
    if rewriting():
        file.write_text(text)
    assert text == file.read_text(), f"{file.name} {HINT}"


def assert_golden_figures(file: Path, figures: dict[str, float], tolerance: float) -> None:
    """As `assert_golden`; figures may differ by a share of themselves, as they do between processors."""
    if rewriting():
        file.write_text(json.dumps(figures, indent=0) + "\n")
    assert figures == pytest.approx(json.loads(file.read_text()), rel=tolerance), f"{file.name} {HINT}"


def rewriting() -> bool:
    """Whether SPNET_GOLDEN=write is in the environment."""
    return os.environ.get("SPNET_GOLDEN") == "write"
