"""What other libraries make of hits."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spnet import Gallery
from spnet.errors import UserError
from spnet.gallery.results import SearchResult


@pytest.fixture(scope="module")
def result(indexed: Path) -> SearchResult:
    return Gallery.open(indexed / "index").search(np.ones(8, np.float32), 5)


def test_pandas(result: SearchResult) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = result.to_pandas()
    assert list(frame.columns[:4]) == ["id", "camera", "file", "first"]
    assert frame["id"].tolist() == [hit.id for hit in result.hits]
    assert frame["similarity"].tolist() == [round(hit.similarity, 4) for hit in result.hits]
    assert frame["similarity"].is_monotonic_decreasing
    assert frame["probability"].isna().all()
    assert frame.query("camera == 'gate'")["file"].nunique() == 1
    assert np.allclose(frame["box"].tolist(), [hit.boxes[0] for hit in result.hits], atol=0.06)


def test_supervision(result: SearchResult) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    detections = result.to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert np.array_equal(detections.xyxy, [hit.boxes[0] for hit in result.hits])
    assert detections.confidence == pytest.approx([hit.score for hit in result.hits])
    for name in ("id", "camera", "file", "first", "last", "similarity"):
        assert detections.data[name].tolist() == [getattr(hit, name) for hit in result.hits]
    gate = detections[detections.data["camera"] == "gate"]
    assert gate.data["id"].tolist() == [hit.id for hit in result.hits if hit.camera == "gate"]
    drawn = supervision.BoxAnnotator().annotate(np.zeros((64, 96, 3), np.uint8), gate)
    assert drawn.any() == bool(len(gate))


@pytest.mark.parametrize("package", ["pandas", "supervision"])
def test_of_no_hits(package: str, result: SearchResult) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    empty = replace(result, hits=[])
    assert len(empty.to_pandas() if package == "pandas" else empty.to_supervision()) == 0


@pytest.mark.parametrize("package", ["pandas", "supervision"])
def test_a_missing_package_is_named(package: str, result: SearchResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"{package} is not installed: pip install {package}"):
        result.to_pandas() if package == "pandas" else result.to_supervision()
