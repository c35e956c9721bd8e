"""A miniature run measured along both pathways, its detections kept and measured again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from miniature import make_network
from spnet.cli.main import main
from spnet.config.schema import InferenceConfig
from spnet.data.schema import Annotations, read_annotations
from spnet.errors import UserError
from spnet.evaluation.extract import ExtractionConfig, extract_arrays
from spnet.evaluation.protocols import Protocol, read_protocols
from spnet.evaluation.query_pathway import evaluate_query_pathway
from spnet.evaluation.report import measure
from spnet.evaluation.runner import DETECTIONS, evaluate_weights
from spnet.models.checkpoints import load_network, save_weights

INFERENCE = InferenceConfig(
    min_size=64, max_size=96, score_threshold=0.5, object_pre_nms_topk=60, query_pre_nms_topk=30, max_detections=9
)


@pytest.fixture(scope="module")
def annotations(small_data: Path) -> Annotations:
    return read_annotations(small_data / "annotations" / "test.json")


@pytest.fixture(scope="module")
def protocol(small_data: Path) -> Protocol:
    return read_protocols(small_data / "retrieval" / "test.json")["test"]


def metrics(file: Path) -> dict[str, Any]:
    """All but when and where it was measured."""
    document: dict[str, Any] = json.loads(file.read_text())
    document.pop("about", None)
    return document


def test_a_run_is_measured_on_its_own_data(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    result = evaluate_weights(small_run, output=tmp_path / "out")
    report, folder = result.report, result.folder
    assert folder == tmp_path / "out"
    assert sorted(path.name for path in folder.iterdir()) == ["detections.npz", "metrics.json"]
    assert list(report.searches) == ["test"]
    assert report.detection.recall > 0.5
    search = report.searches["test"]
    assert search["ground_truth"].mean_average_precision > 0.5
    assert search["detected"].mean_average_precision > 0.2
    written = metrics(folder / "metrics.json")
    assert written["protocols"]["test"]["detected"]["mAP"] == search["detected"].mean_average_precision
    assert written["protocols"]["test"]["detection"]["recall@0.5"] == report.detection.recall


def test_saved_detections_give_the_same_metrics(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    evaluate_weights(small_run, output=tmp_path / "first")
    saved = tmp_path / "first" / DETECTIONS
    evaluate_weights(small_run, detections=saved, output=tmp_path / "second")
    protocols = small_data / "retrieval" / "test.json"
    score = ["score", str(saved), "--protocols", str(protocols), "--output", str(tmp_path / "score.json")]
    assert main(score) == 0
    expected = metrics(tmp_path / "first" / "metrics.json")
    assert metrics(tmp_path / "second" / "metrics.json") == expected
    assert metrics(tmp_path / "score.json") == expected
    assert not (tmp_path / "second" / DETECTIONS).exists()


def test_reranked_metrics_stand_beside_the_plain_ones(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    plain = evaluate_weights(small_run, output=tmp_path / "plain")
    rerank = ["k-reciprocal:k1=5", "cbgm"]
    evaluate_weights(small_run, rerank=rerank, output=tmp_path / "both")
    written, expected = metrics(tmp_path / "both" / "metrics.json"), metrics(tmp_path / "plain" / "metrics.json")
    assert list(written["rerankings"]) == ["detected_k_reciprocal", "detected_cbgm"]
    both, alone = written["protocols"]["test"], expected["protocols"]["test"]
    assert both["detected_cbgm"]["mAP"] > 0
    assert {name: both[name] for name in alone if name != "per_query"} == {
        name: alone[name] for name in alone if name != "per_query"
    }
    assert "rerankings" not in expected
    with pytest.raises(UserError, match="no scores of a gallery filter"):
        evaluate_weights(small_run, rerank=["gallery-filter"], detections=plain.folder / DETECTIONS)
    with pytest.raises(UserError, match="--rerank needs --pathway object"):
        evaluate_weights(small_run, rerank=["cbgm"], pathway="query")


def test_detections_are_in_the_pixels_of_the_files(small_run: Path, annotations: Annotations) -> None:
    network = load_network(small_run)
    plain = extract_arrays(network, annotations, ExtractionConfig(INFERENCE))
    larger = extract_arrays(network, annotations, ExtractionConfig(InferenceConfig(128, 192)))
    for arrays in (plain, larger):
        assert arrays.det_box[:, 2].max() > 60
        assert (arrays.det_box[:, 2] <= 96 + 1e-3).all()
        assert (arrays.det_box[:, 3] <= 64 + 1e-3).all()
        assert np.array_equal(arrays.gt_box, annotations.boxes)
    assert not np.array_equal(plain.gt_emb, larger.gt_emb)


@pytest.mark.parametrize("how", [{"batch_size": 1}, {"batch_size": 5}, {"num_workers": 1}])
def test_batches_and_workers_change_nothing(how: dict[str, Any], small_run: Path, annotations: Annotations) -> None:
    network = load_network(small_run)
    expected = extract_arrays(network, annotations, ExtractionConfig(INFERENCE))
    found = extract_arrays(network, annotations, replace(ExtractionConfig(INFERENCE), **how))
    for name, column in vars(expected).items():
        if name == "gt_emb" or name.startswith("det"):
            np.testing.assert_allclose(getattr(found, name), column, atol=1e-3, rtol=1e-3)
        else:
            assert np.array_equal(getattr(found, name), column)


def test_embeddings_are_in_the_order_of_the_annotations(small_run: Path, annotations: Annotations) -> None:
    """Rows of the file shuffled: the same embeddings, shuffled."""
    network = load_network(small_run)
    expected = extract_arrays(network, annotations, ExtractionConfig(INFERENCE))
    order = np.random.default_rng(0).permutation(len(annotations.boxes))
    rows = ("box_ids", "box_scene", "boxes", "person_ids", "is_known", "iou_thresholds")
    shuffled = replace(annotations, **{name: getattr(annotations, name)[order] for name in rows})
    found = extract_arrays(network, shuffled, ExtractionConfig(INFERENCE))
    np.testing.assert_allclose(found.gt_emb, expected.gt_emb[order], atol=1e-4, rtol=1e-4)
    assert np.array_equal(found.gt_annotation, expected.gt_annotation[order])


def test_evaluation_leaves_the_network_as_it_was(annotations: Annotations, protocol: Protocol) -> None:
    network = make_network(inference=INFERENCE, logit_norm="batch").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    extract_arrays(network, annotations, ExtractionConfig(INFERENCE))
    evaluate_query_pathway(network, annotations, {"test": protocol}, ExtractionConfig(INFERENCE))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_nothing_found_is_zero_not_an_error(annotations: Annotations, protocol: Protocol) -> None:
    network = make_network(inference=replace(INFERENCE, score_threshold=1.0))
    arrays = extract_arrays(network, annotations, ExtractionConfig(INFERENCE))
    assert len(arrays.det_box) == 0
    report = measure(arrays, {"test": protocol})
    assert report.detection.recall == report.searches["test"]["detected"].mean_average_precision == 0
    report = evaluate_query_pathway(network, annotations, {"test": protocol}, ExtractionConfig(INFERENCE))
    assert report.detection.recall == report.searches["test"]["detected"].mean_average_precision == 0
    assert report.searches["test"]["ground_truth"].mean_average_precision > 0


def test_several_protocols_and_the_query_pathway(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    names = ["listed", "test"]
    result = evaluate_weights(small_run, protocols=names, pathway="query", output=tmp_path / "out")
    report, folder = result.report, result.folder
    assert result.arrays is None
    assert list(report.searches) == names
    assert [path.name for path in folder.iterdir()] == ["metrics.json"]
    single = evaluate_weights(small_run, protocols=["test"], pathway="query", output=tmp_path / "single")
    assert single.report.searches["test"]["detected"].average_precisions == pytest.approx(
        report.searches["test"]["detected"].average_precisions
    )


def test_results_lie_with_the_run_or_the_weights(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    folder = evaluate_weights(small_run, pathway="query").folder
    assert folder == small_run / "evaluation" / "data-test-query"
    save_weights(tmp_path / "net.safetensors", load_network(small_run), "object")
    folder = evaluate_weights(tmp_path / "net.safetensors", small_data).folder
    assert folder == tmp_path / "evaluation" / "data-test-object"
