"""Our evaluator against the figures of the authors' one, on every case at hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from cases import case_name, find_cases

from spnet.evaluation.arrays import read_arrays
from spnet.evaluation.detection import evaluate_detection
from spnet.evaluation.protocols import read_protocols
from spnet.evaluation.report import Flags
from spnet.evaluation.retrieval import evaluate

CASES = [path for path in find_cases("eval*/**/arrays.npz") if (path.parent / "expected.json").is_file()]
SETTINGS: dict[str, Flags] = {
    "detected": {},
    "detected_confidence_weighted": {"confidence_weighted": True},
    "ground_truth": {"ground_truth": True},
}


@pytest.mark.parametrize("path", CASES, ids=case_name)
def test_figures_are_the_published_evaluators(path: Path) -> None:
    arrays, protocols = read_arrays(path), read_protocols(path.parent / "protocols.json")
    expected = json.loads((path.parent / "expected.json").read_text())
    assert expected.keys() <= protocols.keys()
    for name, figures in expected.items():
        detection = evaluate_detection(arrays)
        assert detection.recall == pytest.approx(figures["detection"]["recall@0.5"], abs=1e-9)
        assert detection.average_precision == pytest.approx(figures["detection"]["ap@0.5"], abs=1e-9)
        for setting in figures.keys() & SETTINGS.keys():
            result = evaluate(arrays, protocols[name], **SETTINGS[setting])
            assert result.mean_average_precision == pytest.approx(figures[setting]["mAP"], abs=1e-9), (name, setting)
            assert result.top(1) == pytest.approx(figures[setting]["top1"], abs=1e-9), (name, setting)
        found_first = evaluate(arrays, protocols[name]).first_match_ranks == 1
        np.testing.assert_array_equal(found_first, np.array(figures["detected_top1_per_query"], bool))


def test_there_are_cases() -> None:
    assert len(CASES) >= 2
