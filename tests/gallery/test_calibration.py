"""Similarity to probability: the curve against a search over a grid, kept beside the weights, used by searches."""

import shutil
from math import exp
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from spnet import Gallery, Searcher
from spnet.data.schema import read_annotations
from spnet.errors import UserError
from spnet.gallery.calibration import (
    Calibration,
    calibration_file,
    expected_calibration_error,
    fit_calibration,
    fit_curve,
    read_calibration,
    write_calibration,
)

CURVE = Calibration(8.0, -4.0, "print", "data/val", 100, 10, 0.1, 0.02)


def sample(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    similarity = random.uniform(-1, 1, count)
    return similarity, random.random(count) < 1 / (1 + np.exp(-(6 * similarity - 3)))


def test_the_curve_is_that_of_a_library() -> None:
    similarity, same = sample(4000)
    slope, offset = fit_curve(similarity, same)
    reference = LogisticRegression(C=np.inf).fit(similarity[:, None], same)
    assert slope == pytest.approx(reference.coef_[0, 0], rel=0.02)
    assert offset == pytest.approx(reference.intercept_[0], rel=0.02)
    assert slope == pytest.approx(6, rel=0.15)
    assert offset == pytest.approx(-3, rel=0.15)


def test_separable_pairs_give_a_finite_curve() -> None:
    slope, offset = fit_curve(np.array([-0.5, -0.4, 0.6, 0.7]), np.array([False, False, True, True]))
    assert np.isfinite([slope, offset]).all()
    assert slope > 0


def test_probabilities_are_as_often_right_as_they_say() -> None:
    similarity, same = sample(20000, seed=1)
    slope, offset = fit_curve(*sample(20000, seed=2))
    probability = 1 / (1 + np.exp(-(slope * similarity + offset)))
    assert expected_calibration_error(probability, same) < 0.02
    assert expected_calibration_error(np.ones(4), np.array([True, True, False, False])) == 0.5


def test_there_and_back() -> None:
    assert CURVE.probability(0.5) == 0.5
    assert CURVE.probability(0.9) == pytest.approx(1 / (1 + exp(-3.2)))
    for probability in (0.01, 0.5, 0.99):
        assert CURVE.probability(CURVE.similarity_of(probability)) == pytest.approx(probability)
    for wrong in (0.0, 1.0, 2.0):
        with pytest.raises(UserError, match=r"--min-probability .* must lie between 0 and 1"):
            CURVE.similarity_of(wrong)


def test_kept_beside_the_weights(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    assert read_calibration(weights, "print") is None
    write_calibration(weights, CURVE)
    assert read_calibration(weights, "print") == CURVE
    assert read_calibration(weights, "another") is None
    calibration_file(weights).write_text("{}")
    with pytest.raises(UserError, match="no calibration; make it again"):
        read_calibration(weights, "print")


def test_fitted_on_a_split(small_data: Path, small_run: Path) -> None:
    annotations = read_annotations(small_data / "annotations" / "test.json")
    fitted = fit_calibration(Searcher.load(small_run), annotations, "print", "small/test")
    scene, person = annotations.box_scene, annotations.person_ids
    pairs = [(i, j) for i in range(len(scene)) for j in range(i) if scene[i] != scene[j]]
    assert fitted.pairs == len(pairs)
    assert fitted.same == sum(person[i] == person[j] for i, j in pairs)
    assert fitted.slope > 0
    assert fitted.probability(1.0) > fitted.same / fitted.pairs > fitted.probability(-1.0)


def test_searches_show_it(weights: Path, video: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copy(weights, tmp_path / "mine.safetensors"))
    gallery = Gallery.open(tmp_path / "index", mine, create=True)
    gallery.add(video, fps=2)
    write_calibration(mine, Calibration(4.0, 0.0, gallery.fingerprint, "data/val", 100, 10, 0.1, 0.02))
    result = gallery.search(np.ones(8, np.float32), 100)
    assert result.calibrated
    for hit in result.hits:
        assert hit.probability == pytest.approx(1 / (1 + exp(-4 * hit.similarity)))
    likely = gallery.search(np.ones(8, np.float32), 100, min_probability=0.5)
    assert [hit.id for hit in likely.hits] == [hit.id for hit in result.hits if hit.similarity >= 0]
