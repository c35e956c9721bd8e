"""The search ranking, against the plain oracle and by hand."""

import numpy as np
import pytest
from evaluation_oracle import random_gallery, search

from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays, ground_truth_detections
from spnet.evaluation.protocols import Protocol
from spnet.evaluation.retrieval import evaluate


def largest_difference(seeds: range) -> float:
    """Between average precisions of ours and the oracle, over all modes and settings; ranks must be equal."""
    worst = 0.0
    for seed in seeds:
        arrays, protocol = random_gallery(seed)
        for mode in ("published", "corrected"):
            weighted = bool(seed % 3 == 0)
            chunk = 1 + seed % 60
            result = evaluate(arrays, protocol, mode=mode, confidence_weighted=weighted, chunk=chunk)
            precisions, ranks = search(arrays, protocol, mode, weighted)
            worst = max(worst, np.abs(result.average_precisions - precisions).max())
            assert result.first_match_ranks.tolist() == ranks, (seed, mode)
    return worst


def test_random_galleries_agree_with_the_oracle() -> None:
    assert largest_difference(range(300)) < 1e-12


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_ten_thousand_random_galleries_agree_with_the_oracle() -> None:
    worst = largest_difference(range(10_000))
    print(f"largest difference over 10,000 galleries: {worst:.3g}")
    assert worst < 1e-12
