"""A table made from nothing once, for all who look at it."""

from pathlib import Path

import pytest
from reproducing import command, shrink_small_scale

from miniature_scale import write_classifier
from spnet.cli import main


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the miniature networks start from."""
    return write_classifier(tmp_path_factory.mktemp("classifier") / "classifier.safetensors")


@pytest.fixture
def small_scale_is_miniature(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--scale small` is miniature, and its classifier is there at once."""
    shrink_small_scale(classifier, monkeypatch)


@pytest.fixture(scope="session")
def made(drawn_data: Path, classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Table 8 with two seeds, made from nothing; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        shrink_small_scale(classifier, patch)
        assert main(command(drawn_data, folder, "--seeds", "0", "1", "0")) == 0
    return folder
