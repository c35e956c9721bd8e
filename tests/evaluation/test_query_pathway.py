"""Query-centric evaluation: each query in its own gallery, by the definition, however the work is cut into chunks."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from miniature import make_network
from small_dataset import make_dataset
from spnet.config.schema import InferenceConfig
from spnet.data.schema import Annotations, read_annotations
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.detection import average_precision
from spnet.evaluation.extract import ExtractionConfig, extract_arrays
from spnet.evaluation.protocols import Protocol, resolve_protocol
from spnet.evaluation.query_pathway import evaluate_query_pathway, plan_searches
from spnet.evaluation.report import Report
from spnet.evaluation.retrieval import evaluate
from spnet.inference.searcher import Ranking, Searcher
from spnet.models import inference
from spnet.models.spnet import SPNet
from spnet.types import Detections

INFERENCE = InferenceConfig(
    min_size=64, max_size=96, score_threshold=0.5, nms_iou=0.5, query_pre_nms_topk=2000, max_detections=400
)
HOW = ExtractionConfig(INFERENCE, batch_size=4)


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    """Six scenes, one of which holds a person twice."""
    root = make_dataset(tmp_path_factory.mktemp("queries"), twice=True)
    found = read_annotations(root / "annotations" / "test.json")
    places = np.stack([found.box_scene, found.person_ids])
    if np.unique(places, axis=1).shape[1] == places.shape[1]:  # the data set has it in `train` alone
        rows = np.flatnonzero(found.box_scene == found.box_scene[1])
        persons = found.person_ids.copy()
        persons[rows] = persons[rows[0]]
        found = replace(found, person_ids=persons)
    return found


@pytest.fixture(scope="module")
def network() -> SPNet:
    made = make_network(3, inference=INFERENCE, heads="separate", reid_dim=12, anchor_size=16)
    # boxes are anchors, and some of them are where people are
    torch.nn.init.zeros_(made.boxes[0].get_parameter("deltas.weight"))
    return made


def protocols(annotations: Annotations) -> dict[str, Protocol]:
    """Whole galleries, and lists: with the query's own scene, a scene twice, a single scene, none."""
    queries, scenes = annotations.box_ids[::2], annotations.scene_ids
    lists = [scenes[[0, 1, 1, 3]], scenes[::-1], scenes[2:3], scenes[:0], scenes[[5, 4, 0, 0, 0]]]
    listed = tuple(lists[number % len(lists)] for number in range(len(queries)))
    return {
        "listed": Protocol(queries, None, listed),
        "all": Protocol(queries[1:4], None),
        "some": Protocol(queries[:3], scenes[:4]),
    }


def search_alone(network: SPNet, annotations: Annotations, row: int, perfect: EvaluationArrays) -> EvaluationArrays:
    """What the query of an annotation row finds; an embedding is its cosine to the query's, (1, 0)."""
    files = [annotations.image_root / name for name in annotations.file_names]
    query = (files[annotations.box_scene[row]], torch.from_numpy(annotations.boxes[row]))
    found = Searcher(network).find(files, [query], "query")[0]
    order = found.scores.argsort(descending=True, stable=True)  # of equal overlaps the better score counts
    own = Ranking(*(column[order] for column in vars(found).values()))
    cosine = own.similarity.numpy().clip(-1, 1)
    return replace(
        perfect,
        gt_emb=np.tile(np.array([[1, 0]], np.float32), (len(annotations.boxes), 1)),
        det_image=annotations.scene_ids[own.image.numpy()],
        det_box=own.boxes.numpy(),
        det_score=own.scores.numpy(),
        det_emb=np.stack([cosine, np.sqrt(1 - cosine**2)], 1).astype(np.float32),
    )


def only(arrays: EvaluationArrays, scene: int, boxes: npt.NDArray[np.bool_]) -> EvaluationArrays:
    """One scene with some of its annotated boxes (G,) bool."""
    columns = {name: value[boxes] for name, value in vars(arrays).items() if name.startswith("gt")}
    columns |= {
        name: value[arrays.det_image == scene] for name, value in vars(arrays).items() if name.startswith("det")
    }
    return EvaluationArrays(image_ids=np.array([scene]), **columns)


def naive(network: SPNet, annotations: Annotations, protocol: Protocol) -> tuple[list[float], float, float]:
    """Average precisions, recall and AP: each query alone, each scene of its gallery with the person alone."""
    perfect = extract_arrays(network, annotations, HOW)
    precisions, matched, total = [], [np.zeros(0, bool)], 0
    scores: list[npt.NDArray[np.floating]] = [np.zeros(0)]
    for number, query in enumerate(protocol.queries.tolist()):
        row = annotations.box_ids.tolist().index(query)
        arrays = search_alone(network, annotations, row, perfect)
        whole = annotations.scene_ids if protocol.images is None else protocol.images
        gallery = whole if protocol.galleries is None else protocol.galleries[number]
        precisions.append(evaluate(arrays, Protocol(np.array([query]), None, (gallery,))).mean_average_precision)
        for scene in np.setdiff1d(gallery, annotations.scene_ids[annotations.box_scene[row]]).tolist():
            theirs = (arrays.gt_image == scene) & (arrays.gt_person == annotations.person_ids[row])
            if theirs.any():
                own = only(arrays, scene, theirs)
                found = match(own)
                scores.append(own.det_score)
                matched.append(found)
                total += int(theirs.sum())
    recall = sum(part.sum() for part in matched) / max(1, total)
    return precisions, recall, average_precision(np.concatenate(scores), np.concatenate(matched)) * recall


def match(arrays: EvaluationArrays) -> npt.NDArray[np.bool_]:
    """Which detections and boxes of one scene are each other's best overlap of at least 0.5."""
    matched = np.zeros(len(arrays.det_box), bool)
    if len(matched):
        overlap = box_iou(torch.from_numpy(arrays.gt_box).double(), torch.from_numpy(arrays.det_box).double()).numpy()
        for box, detection in enumerate(overlap.argmax(1)):
            matched[detection] |= overlap[box, detection] >= 0.5 and overlap[:, detection].argmax() == box
    return matched


@pytest.mark.parametrize("name", ["listed", "all", "some"])
def test_by_the_definition(name: str, network: SPNet, annotations: Annotations) -> None:
    protocol = protocols(annotations)[name]
    report = evaluate_query_pathway(network, annotations, {name: protocol}, HOW)
    precisions, recall, ap = naive(network, annotations, protocol)
    result = report.searches[name]
    assert result["detected"].queries.tolist() == protocol.queries.tolist()
    assert result["detected"].average_precisions == pytest.approx(precisions, abs=1e-6)
    assert max(precisions) > 0
    assert report.detection.recall == pytest.approx(recall)
    assert report.detection.average_precision == pytest.approx(ap, abs=1e-6)
    assert 0 < report.detection.average_precision < report.detection.recall < 1
    expected = evaluate(extract_arrays(network, annotations, HOW), protocol, ground_truth=True).average_precisions
    assert result["ground_truth"].average_precisions == pytest.approx(expected)


def test_protocols_measured_together_are_each_alone(network: SPNet, annotations: Annotations) -> None:
    everything = protocols(annotations)
    together = evaluate_query_pathway(network, annotations, everything, HOW)
    for name, protocol in everything.items():
        alone = evaluate_query_pathway(network, annotations, {name: protocol}, HOW)
        assert_same_search(together, alone, name)
        if name == "listed":  # the first
            assert together.detection == alone.detection


def assert_same_search(first: Report, second: Report, name: str) -> None:
    for setting, result in first.searches[name].items():
        other = second.searches[name][setting]
        assert result.average_precisions == pytest.approx(other.average_precisions, abs=1e-6)
        assert result.first_match_ranks.tolist() == other.first_match_ranks.tolist()


@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_chunks_are_bounded_and_change_nothing(
    heads: str, annotations: Annotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(inference=INFERENCE, heads=heads, cascade_steps=1)
    everything = protocols(annotations)
    expected = evaluate_query_pathway(network, annotations, everything, HOW)
    monkeypatch.setattr(inference, "REGIONS_AT_ONCE", 5)
    monkeypatch.setattr(inference, "DISTANCES_AT_ONCE", 1)
    regions, pairs = [], []

    def spy(module: torch.nn.Module, given: tuple[object, Tensor, Tensor], result: Tensor) -> None:
        regions.append(len(given[1]))

    for module in (network.reid, *network.locations):
        module.register_forward_hook(spy)
    original = inference._detect

    def detect(*given: Any) -> Detections:
        pairs.append(len(given[4].query))
        return original(*given)

    monkeypatch.setattr(inference, "_detect", detect)
    found = evaluate_query_pathway(network, annotations, everything, HOW)
    for name in everything:
        assert_same_search(found, expected, name)
    assert found.detection == expected.detection
    assert max(regions) <= 5
    assert max(pairs) == 1


def test_a_query_is_searched_in_its_own_galleries_alone(annotations: Annotations) -> None:
    chosen = protocols(annotations)
    zeros = np.zeros((len(annotations.boxes), 1), np.float32)
    bare = extract_like(annotations, zeros)
    plan = plan_searches([resolve_protocol(protocol, bare) for protocol in chosen.values()])
    wanted = set()
    for protocol in chosen.values():
        for number, query in enumerate(protocol.queries.tolist()):
            row = annotations.box_ids.tolist().index(query)
            whole = annotations.scene_ids if protocol.images is None else protocol.images
            gallery = whole if protocol.galleries is None else protocol.galleries[number]
            scenes = {annotations.scene_ids.tolist().index(scene) for scene in gallery.tolist()}
            wanted |= {(scene, row) for scene in scenes - {int(annotations.box_scene[row])}}
    scene, query = np.nonzero(plan.wanted)
    assert set(zip(scene.tolist(), plan.boxes[query].tolist(), strict=True)) == wanted


def extract_like(annotations: Annotations, embeddings: npt.NDArray[np.float32]) -> EvaluationArrays:
    """The annotations alone."""
    return EvaluationArrays(
        annotations.scene_ids,
        annotations.scene_ids[annotations.box_scene],
        annotations.boxes,
        annotations.person_ids,
        annotations.box_ids,
        annotations.iou_thresholds,
        embeddings,
        np.zeros(0, np.int64),
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
        np.zeros((0, 1), np.float32),
    )


MEMORY = """
import resource, sys
from dataclasses import replace
from pathlib import Path
import numpy as np, torch
from miniature import make_network
from spnet.config.schema import InferenceConfig
from spnet.data.schema import read_annotations
from spnet.evaluation.extract import ExtractionConfig
from spnet.evaluation.query_pathway import SearchPlan, find_queries
from spnet.models import inference
torch.set_num_threads(1)
inference.DISTANCES_AT_ONCE = 2**20
network = make_network(inference=InferenceConfig(score_threshold=1.0))
annotations = read_annotations(Path(sys.argv[1]))
def peak(queries):
    plan = SearchPlan(np.arange(queries), np.ones((len(annotations.scene_ids), queries), bool))
    numbers = np.zeros((queries, 8), np.float32)
    how = ExtractionConfig(InferenceConfig(512, 768), batch_size=1)
    find_queries(network, annotations, plan, numbers, numbers, how)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
first = peak(40)
print(peak(600) - first)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak's unit is the system's own")
def test_memory_does_not_grow_with_the_number_of_queries(annotations: Annotations, preloaded: str) -> None:
    """Of the whole process, since what a heap cannot use again is no tensor."""
    file = annotations.image_root.parent / "data" / "annotations" / "test.json"
    here = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [preloaded, "-c", MEMORY, str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=True)
    assert float(ended.stdout) < 100  # MB; a thousand and more where small arrays outlive the chunks
