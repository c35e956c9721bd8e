"""What a query-centric search costs: time a pair, peak memory by the number of queries, and the full protocols planned.

    python benchmarks/query_pathway.py [--scenes 200]

Weights are random, and a network that learnt nothing says nothing about how many detections pass the threshold, so both
bounds are measured: `none` pass (distances and top-k alone) and `all` of a pair's 100 anchors pass (box head, NMS,
region head on top). SPNet-tiny searches synthetic scenes, SPNet-S one random scene of 900 x 1500 pixels. Each case is a
process of its own on one thread; its memory is the peak of the process above what it was after one query in one scene.
Full protocols are extrapolated: a pair's time as measured in that one scene, and each scene's features twice. The
anchors of the large scene, which are made once for all queries, count as features.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from emit import emit
from spnet.config.presets import get_preset
from spnet.data.schema import Annotations, read_annotations
from spnet.evaluation.extract import ExtractionConfig
from spnet.evaluation.query_pathway import SearchPlan, find_queries
from spnet.models.inference import DISTANCES_AT_ONCE, iter_query_detections
from spnet.models.spnet import SPNet
from spnet.synthetic import prepare_synthetic

ANCHORS = 261_711  # of a scene of 900 x 1500 pixels
THRESHOLDS = {"none": 1.0, "all": 0.0}
PLANS = {"cuhk_sysu_g100": (6_978, 2_900, 100), "prw": (6_112, 2_057, 6_112)}  # scenes, queries, scenes of a gallery
MEMORY_QUERIES = (10, 500, 2_057, 6_000)
PAIRS_OF_LARGE_SCENE = {"none": 256, "all": 16}


@dataclass(frozen=True)
class Costs:
    """Of a case."""

    microseconds_a_pair: float
    detections_a_pair: float
    peak_mb: float
    features_seconds: float = 0.0  # of a scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--case", nargs=4, help="(internal) FOLDER KIND QUERIES SCENES")
    options = parser.parse_args()
    if options.case:
        folder, kind, queries, scenes = options.case
        torch.set_num_threads(1)
        torch.manual_seed(0)
        cost = search_large(kind) if folder == "large" else search_small(Path(folder), kind, int(queries), int(scenes))
        print(json.dumps(vars(cost)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare_synthetic(Path(folder), scenes=options.scenes, identities=40)
        memory = {
            kind: {str(queries): run(folder, kind, queries, scenes).peak_mb for queries in MEMORY_QUERIES}
            for kind, scenes in (("none", 4), ("all", 1))
        }
        small = {"none": run(folder, "none", 100, options.scenes), "all": run(folder, "all", 100, 4)}
    large = {kind: run("large", kind, 0, 1) for kind in THRESHOLDS}
    emit(
        "query_pathway",
        {
            "tiny": {kind: vars(cost) for kind, cost in small.items()},
            "small": {kind: vars(cost) for kind, cost in large.items()},
            "peak_mb_by_queries": memory,
            "plans": {name: plan(*shape, large) for name, shape in PLANS.items()},
        },
    )


def run(folder: str, kind: str, queries: int, scenes: int) -> Costs:
    """A case in a process of its own."""
    command = [sys.executable, __file__, "--case", folder, kind, str(queries), str(scenes)]
    return Costs(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def plan(scenes: int, queries: int, gallery: int, costs: dict[str, Costs]) -> dict[str, object]:
    """Pairs and chunks of a full protocol, and its hours with SPNet-S between both bounds."""
    pairs = queries * gallery
    at_once = max(1, DISTANCES_AT_ONCE // ANCHORS)
    chunks = scenes * -(-pairs // scenes // at_once)
    features = round(2 * scenes * costs["none"].features_seconds / 3600, 1)
    hours = {kind: round(pairs * cost.microseconds_a_pair / 3.6e9, 1) for kind, cost in costs.items()}
    return {
        "pairs": pairs,
        "pairs_a_chunk": at_once,
        "chunks": chunks,
        "hours_pairs": hours,
        "hours_features": features,
    }


def search_small(folder: Path, kind: str, queries: int, scenes: int) -> Costs:
    """SPNet-tiny in synthetic scenes, through the code of the evaluation."""
    config = get_preset("spnet-tiny", "finetune").model
    network = SPNet(replace(config, inference=replace(config.inference, score_threshold=THRESHOLDS[kind]))).eval()
    annotations = first_scenes(read_annotations(folder / "annotations" / "train.json"), scenes)
    how = ExtractionConfig(config.inference)

    def search(number: int, where: Annotations) -> int:
        wanted = np.ones((len(where.scene_ids), number), bool)
        reid, location = (
            np.random.default_rng(0).normal(size=(number, dims)).astype(np.float32)
            for dims in (config.reid_dim, config.location_dim)
        )
        return len(find_queries(network, where, SearchPlan(np.arange(number), wanted), reid, location, how)["pair"])

    search(1, first_scenes(annotations, 1))
    before, start = peak_mb(), time.perf_counter()
    found = search(queries, annotations)
    pairs = queries * len(annotations.scene_ids)
    return costs(time.perf_counter() - start, found, pairs, peak_mb() - before)


def search_large(kind: str) -> Costs:
    """SPNet-S, some queries in one scene, without the time for its features."""
    config = get_preset("spnet-s", "finetune").model
    backbone = replace(config.backbone, weights="none")
    inference = replace(config.inference, score_threshold=THRESHOLDS[kind])
    network = SPNet(replace(config, backbone=backbone, inference=inference)).eval()
    image = torch.randint(0, 256, (1, 3, 928, 1504), dtype=torch.uint8)
    begin = time.perf_counter()
    with torch.no_grad():
        features = network.features(image, torch.tensor([[900, 1500]]))
    features_seconds = time.perf_counter() - begin
    pairs = PAIRS_OF_LARGE_SCENE[kind]
    queries = torch.randn(pairs, config.location_dim)
    begin = time.perf_counter()
    next(iter_query_detections(network, features, queries[:1]))
    before, start = peak_mb(), time.perf_counter()
    one_query = start - begin
    found = sum(len(part.boxes) for part in iter_query_detections(network, features, queries))
    cost = costs(time.perf_counter() - start - one_query, found, pairs, peak_mb() - before)
    return replace(cost, features_seconds=round(features_seconds + one_query, 1))


def first_scenes(annotations: Annotations, scenes: int) -> Annotations:
    """The first scenes of a split."""
    rows = annotations.box_scene < scenes
    of_scene = {name: getattr(annotations, name)[:scenes] for name in ("file_names", "scene_ids", "sizes")}
    of_box = {
        name: getattr(annotations, name)[rows]
        for name in ("box_ids", "box_scene", "boxes", "person_ids", "is_known", "iou_thresholds")
    }
    return replace(annotations, **of_scene, **of_box)


def costs(seconds: float, found: int, pairs: int, peak: float) -> Costs:
    """Rounded."""
    return Costs(round(1e6 * seconds / pairs, 1), round(found / pairs, 2), round(peak, 1))


def peak_mb() -> float:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
