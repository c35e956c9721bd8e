"""What the tests of the experiments share: drawn data with every split, and the miniature scale."""

from pathlib import Path

import pytest

from miniature_scale import make_drawn_data, miniature_scale, write_classifier
from spnet.experiments.rows.exhibits import Scale


@pytest.fixture(scope="session")
def drawn_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set like that of `spnet prepare synthetic`; not to be changed."""
    return make_drawn_data(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Scale:
    """The miniature scale with its classifier."""
    return miniature_scale(write_classifier(tmp_path_factory.mktemp("classifier") / "classifier.safetensors"))
