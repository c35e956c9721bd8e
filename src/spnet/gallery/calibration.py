"""From a similarity to the probability that it is the same person: a logistic curve fitted to a validation split.

Platt, "Probabilistic outputs for support vector machines" (1999). The curve is kept beside the weights it belongs to.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import exp, log
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from spnet.data.schema import Annotations
from spnet.errors import UserError
from spnet.files import read_json, write_json
from spnet.gallery.tracklets import normalized
from spnet.inference.searcher import Searcher

BINS = 10
MOST_BOXES = 4000  # of a split: all their pairs are compared


@dataclass(frozen=True)
class Calibration:
    """probability = 1 / (1 + exp(-(slope * similarity + offset)))."""

    slope: float
    offset: float
    fingerprint: str  # of the network
    data: str  # what it was fitted to
    pairs: int
    same: int  # pairs of one person
    brier: float  # mean squared error of the probabilities
    expected_error: float  # mean gap between stated and true share, in ten bins

    def probability(self, similarity: float) -> float:
        """That two people of this similarity are one, 0..1."""
        return 1 / (1 + exp(-max(min(self.slope * similarity + self.offset, 700.0), -700.0)))

    def similarity_of(self, probability: float) -> float:
        """The similarity at which a probability is reached. Raises UserError unless 0 < probability < 1."""
        if not 0 < probability < 1:
            raise UserError(f"--min-probability {probability:g}: must lie between 0 and 1")
        return (log(probability / (1 - probability)) - self.offset) / self.slope


def fit_calibration(searcher: Searcher, annotations: Annotations, fingerprint: str, data: str) -> Calibration:
    """Fit to all pairs of known people's annotated boxes that are not of the same image.

    The probabilities are those of a gallery with as large a share of pairs of one person as the split has. Of a large
    split, boxes evenly spaced over it are used. Raises UserError for fewer than two pairs of one person, or of two.
    """
    known = np.flatnonzero(annotations.is_known)
    if not len(known):
        raise UserError(f"{data}: no known people to calibrate by")
    rows = known[np.linspace(0, len(known) - 1, min(len(known), MOST_BOXES)).astype(np.int64)]
    scenes, owner = np.unique(annotations.box_scene[rows], return_inverse=True)
    images = [annotations.image_root / annotations.file_names[scene] for scene in scenes]
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(scenes)).cumsum()[:-1]
    boxes = np.split(annotations.boxes[rows[order]], counts)
    embedded = searcher.embed(images, [part.tolist() for part in boxes])
    embeddings = normalized(np.concatenate([part.float().numpy() for part in embedded]))
    people, scene = annotations.person_ids[rows[order]], owner[order]
    first, second = np.triu_indices(len(rows), 1)
    apart = scene[first] != scene[second]
    first, second = first[apart], second[apart]
    same = people[first] == people[second]
    similarity = np.einsum("ij,ij->i", embeddings[first], embeddings[second])
    if min(int(same.sum()), int((~same).sum())) < 2:
        raise UserError(f"{data}: {same.sum()} pairs of one person and {(~same).sum()} of two: too few to calibrate by")
    slope, offset = fit_curve(similarity, same)
    probability = expit(slope * similarity + offset)
    brier = float(((probability - same) ** 2).mean())
    error = expected_calibration_error(probability, same)
    return Calibration(slope, offset, fingerprint, data, len(same), int(same.sum()), brier, error)


def fit_curve(similarity: npt.NDArray[np.floating], same: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of Platt's curve for pairs (N,), by maximum likelihood with his smoothed targets."""
    positive, negative = int(same.sum()), int((~same).sum())
    target = np.where(same, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def loss(curve: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        logit = curve[0] * similarity + curve[1]
        slack = expit(logit) - target
        value = float((np.logaddexp(0, logit) - target * logit).mean())
        return value, np.array([(slack * similarity).mean(), slack.mean()])

    slope, offset = minimize(loss, np.array([1.0, log((positive + 1) / (negative + 1))]), jac=True, method="BFGS").x
    return float(slope), float(offset)


def expected_calibration_error(probability: npt.NDArray[np.floating], same: npt.NDArray[np.bool_]) -> float:
    """Mean gap between stated probability and true share over pairs (N,), in ten bins of equal width."""
    bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    stated = np.bincount(bins, probability, BINS)
    true = np.bincount(bins, same.astype(np.float64), BINS)
    return float(np.abs(stated - true).sum() / len(same))


def least_similarity(limits: Mapping[str, float | None], calibration: Calibration | None) -> float | None:
    """The lowest similarity within `min_similarity` and `min_probability`, None for any.

    Raises UserError for a probability without calibration.
    """
    least = limits.get("min_similarity")
    if (wanted := limits.get("min_probability")) is None:
        return least
    if calibration is None:
        raise UserError("--min-probability: the network is not calibrated; see `spnet calibrate --help`")
    return max(-1.0 if least is None else least, calibration.similarity_of(wanted))


def calibration_file(weights: Path) -> Path:
    """Where the calibration of a weights file is kept."""
    return weights.with_suffix(".calibration.json")


def read_calibration(weights: Path, fingerprint: str) -> Calibration | None:
    """The calibration of a weights file; None where there is none, or one of other weights. Raises UserError."""
    file = calibration_file(weights)
    if not file.is_file():
        return None
    try:
        calibration = Calibration(**read_json(file))
    except TypeError:
        raise UserError(f"{file}: no calibration; make it again with `spnet calibrate`") from None
    return calibration if calibration.fingerprint == fingerprint else None


def write_calibration(weights: Path, calibration: Calibration) -> Path:
    """Keep a calibration beside its weights."""
    write_json(calibration_file(weights), asdict(calibration))
    return calibration_file(weights)
