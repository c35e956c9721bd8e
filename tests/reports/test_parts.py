"""Rankings, regions and curves of the report, each by itself."""

from pathlib import Path

import numpy as np
import pytest

from spnet.evaluation.arrays import read_arrays
from spnet.evaluation.matching import Mode
from spnet.evaluation.protocols import read_protocols
from spnet.evaluation.retrieval import evaluate
from spnet.reports.curves import LossCurve, LossPanel, plot_curves, read_curve, running_mean
from spnet.reports.images import Region, region_around
from spnet.reports.ranking import evenly_by_value, rank_queries

CASE = Path(__file__).parents[1] / "parity" / "eval" / "small"


@pytest.mark.parametrize("mode", ["published", "corrected"])
@pytest.mark.parametrize("name", ["listed", "per_query", "all"])
def test_rankings_are_those_that_were_scored(name: str, mode: Mode) -> None:
    arrays, protocol = read_arrays(CASE / "arrays.npz"), read_protocols(CASE / "protocols.json")[name]
    scored = evaluate(arrays, protocol, mode=mode)
    queries = np.arange(len(protocol.queries))
    for query, ranked in zip(queries, rank_queries(arrays, protocol, queries, 10**6, mode), strict=True):
        assert arrays.gt_annotation[ranked.query_box] == protocol.queries[query]
        assert (np.diff(ranked.similarity) <= 0).all()
        assert (ranked.score >= 0.5).all()
        assert arrays.gt_image[ranked.query_box] not in ranked.image
        assert ranked.gallery >= len(np.unique(ranked.image))
        precision = np.cumsum(ranked.is_match) / (np.arange(len(ranked.is_match)) + 1)
        average = precision[ranked.is_match].sum() / max(1, ranked.num_relevant)
        assert average == pytest.approx(scored.average_precisions[query], abs=1e-9)


def test_rankings_are_cut() -> None:
    arrays, protocol = read_arrays(CASE / "arrays.npz"), read_protocols(CASE / "protocols.json")["all"]
    (whole,) = rank_queries(arrays, protocol, np.array([2]), 100)
    (cut,) = rank_queries(arrays, protocol, np.array([2]), 3)
    np.testing.assert_array_equal(cut.box, whole.box[:3])
    assert cut.num_relevant == whole.num_relevant


def test_queries_are_taken_evenly_from_best_to_worst() -> None:
    values = np.array([0.1, 0.9, 0.5, 0.7, 0.3])
    assert evenly_by_value(values, 3).tolist() == [1, 2, 0]
    assert evenly_by_value(values, 9).tolist() == [1, 3, 2, 4, 0]
    assert evenly_by_value(values, 1).tolist() == [1]


@pytest.mark.parametrize(
    "box", [(100, 100, 140, 200), (0, 0, 20, 60), (600, 300, 640, 480), (-10, -10, 30, 70), (300, 200, 302, 203)]
)
def test_region_holds_the_box_and_stays_in_the_scene(box: tuple[float, ...]) -> None:
    region = region_around(np.array(box, float), (640, 480))
    assert region.left >= 0
    assert region.top >= 0
    assert region.left + region.width <= 640
    assert region.top + region.height <= 480
    assert region.left <= max(box[0], 0)
    assert region.top <= max(box[1], 0)
    assert region.left + region.width >= min(box[2], 640)
    assert region.top + region.height >= min(box[3], 480)
    assert region.height == pytest.approx(region.width * 4 / 3, abs=1)


def test_region_of_a_box_as_large_as_the_scene_is_the_scene() -> None:
    assert region_around(np.array([0.0, 0.0, 64.0, 48.0]), (64, 48)) == Region(0, 0, 64, 48)


def test_running_mean_equals_a_plain_loop() -> None:
    values = np.random.default_rng(0).normal(size=57)
    reach = int(57 * 0.1 / 2)
    plain = [values[max(0, place - reach) : place + reach + 1].mean() for place in range(57)]
    np.testing.assert_allclose(running_mean(values), plain)


def test_curve_is_read_from_a_run(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.csv").write_text("step,loss/reid,loss/total\n10,1.5,3.25\n20,1,\n30,1,2\n")
    curve = read_curve(tmp_path)
    assert curve.steps.tolist() == [10, 30]
    assert curve.losses.tolist() == [3.25, 2.0]
    assert not len(read_curve(tmp_path / "nowhere").steps)


def test_a_panel_is_one_svg_element_that_stands_in_a_page() -> None:
    curve = LossCurve(np.arange(5), np.array([8.0, 4.0, 2.0, 1.0, 0.5]))
    both = LossPanel("one", {"first": curve, "second": curve})
    svg = plot_curves(both)
    assert svg.startswith("<svg")
    assert svg.rstrip().endswith("</svg>")
    for text in ("first", "second", "step"):
        assert f">{text}</text>" in svg
    assert ">third<" not in plot_curves(LossPanel("two", {"third": curve}))  # a single curve needs no legend
    assert svg == plot_curves(both)


def test_names_of_curves_are_text() -> None:
    curve = LossCurve(np.arange(2), np.array([2.0, 1.0]))
    svg = plot_curves(LossPanel("runs", {"<script>": curve, "a & b": curve}))
    assert "&lt;script&gt;" in svg
    assert "a &amp; b" in svg
    assert "<script" not in svg
