"""From a similarity to the probability that it is the same person: a logistic curve fitted to a validation split.

Platt, "Probabilistic outputs for support vector machines" (1999). The curve is kept beside the weights it belongs to.
"""

from dataclasses import asdict, dataclass
from math import exp, log
from pathlib import Path

from spnet.errors import UserError
from spnet.files import read_json, write_json


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
