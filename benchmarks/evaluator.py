"""How long does it take to score a search, and how far is that from the matrix product it cannot do without?

    python benchmarks/evaluator.py                   all cases, each in a process of its own, one JSON line each
    python benchmarks/evaluator.py --case prw_128    one case

The detections are random, with the numbers of PRW and CUHK-SYSU: persons have an embedding, their boxes noisy copies.
One core, processor time, the best of several runs: other work on the machine only ever adds time.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from emit import emit
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.protocols import Protocol
from spnet.evaluation.retrieval import CHUNK, evaluate


@dataclass(frozen=True)
class Case:
    scenes: int
    queries: int
    persons: int
    boxes: int  # annotated
    detections: int
    dims: int
    gallery: int | None = None  # scenes listed for each query; None: all scenes for all


CASES = {
    "prw_128": Case(6_112, 2_057, 450, 25_062, 55_000, 128),
    "prw_2048": Case(6_112, 2_057, 450, 25_062, 55_000, 2_048),
    "cuhk_sysu_128": Case(6_978, 2_900, 2_900, 40_871, 48_000, 128, 100),
    "cuhk_sysu_2048": Case(6_978, 2_900, 2_900, 40_871, 48_000, 2_048, 100),
    "cuhk_sysu_4000_128": Case(6_978, 2_900, 2_900, 40_871, 48_000, 128, 4_000),
    "gallery_4000_128": Case(4_000, 500, 300, 16_400, 36_000, 128),
    "gallery_100000_128": Case(100_000, 500, 7_500, 410_000, 900_000, 128),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the evaluator; one JSON line a case.")
    parser.add_argument("--case", choices=CASES, help="measure this one only")
    case = parser.parse_args().case
    if case:
        emit(f"evaluator_{case}", measure(case, CASES[case]))
        return
    for name in CASES:
        subprocess.run([sys.executable, __file__, "--case", name], check=True)


def measure(name: str, case: Case) -> dict[str, float | str]:
    """Seconds, memory and the product's share of one case."""
    torch.set_num_threads(1)
    arrays, protocol = make_search(case)
    memory = megabytes_above_now(lambda: evaluate(arrays, protocol))
    seconds = best_seconds(lambda: evaluate(arrays, protocol))
    product = best_seconds(lambda: product_alone(arrays, protocol))
    return {
        "case": name,
        "seconds": round(seconds, 3),
        "microseconds_a_pair": round(1e6 * seconds / case.queries / (case.gallery or case.scenes), 4),
        "product_alone_seconds": round(product, 3),
        "times_the_product": round(seconds / product, 2),
        "corrected_seconds": round(best_seconds(lambda: evaluate(arrays, protocol, mode="corrected"), 1), 3),
        "input_megabytes": round(sum(value.nbytes for value in vars(arrays).values()) / 1e6),
        "peak_megabytes_above_input": round(memory),
        "mAP": round(evaluate(arrays, protocol).mean_average_precision, 4),
    }


def best_seconds(action: Callable[[], object], runs: int = 5) -> float:
    """The shortest of several runs; with one thread, processor time is what an idle machine takes."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        action()
        seconds.append(time.process_time() - start)
    return min(seconds)


def megabytes_above_now(action: Callable[[], object]) -> float:
    """How much more memory the process needs at the peak of the action than before it (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = status_megabytes("VmRSS")
    action()
    return status_megabytes("VmHWM") - before


def status_megabytes(name: str) -> float:
    """A line of this process's status in the kernel."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1e3


def product_alone(arrays: EvaluationArrays, protocol: Protocol) -> None:
    """Similarities of all pairs of the protocol and nothing else; with listed galleries query by query."""
    queries, detections = arrays.gt_emb[: len(protocol.queries)], arrays.det_emb
    if protocol.galleries is None:
        step = max(1, CHUNK // len(detections))
        everything = torch.from_numpy(detections).T
        for first in range(0, len(queries), step):
            torch.from_numpy(queries[first : first + step]) @ everything
        return
    for query, gallery in zip(queries, protocol.galleries, strict=True):
        start, end = np.searchsorted(arrays.det_image, [gallery, gallery + 1])
        detections[np.concatenate([np.arange(a, b) for a, b in zip(start, end, strict=True)])] @ query


def make_search(case: Case) -> tuple[EvaluationArrays, Protocol]:
    """Random scenes; two thirds of the detections lie on an annotated box and resemble its person."""
    random = np.random.default_rng(0)
    gt_image = np.sort(random.integers(0, case.scenes, case.boxes))
    gt_person = random.integers(0, case.persons, case.boxes)
    corner = random.uniform(0, 1000, (case.boxes, 2))
    gt_box = np.concatenate([corner, corner + random.uniform(30, 300, (case.boxes, 2))], axis=1).astype(np.float32)
    centre = random.standard_normal((case.persons, case.dims), np.float32)
    source = random.integers(0, case.boxes, case.detections)
    source = source[np.argsort(gt_image[source], kind="stable")]
    true = random.random(case.detections) < 2 / 3
    shift = np.where(true, 3, 200)[:, None] * random.standard_normal((case.detections, 2))
    noise = random.standard_normal((case.detections, case.dims), np.float32)
    noise[true] += centre[gt_person[source[true]]]
    arrays = EvaluationArrays(
        image_ids=np.arange(case.scenes),
        gt_image=gt_image,
        gt_box=gt_box,
        gt_person=gt_person,
        gt_annotation=np.arange(case.boxes),
        gt_iou_thresh=np.full(case.boxes, 0.5),
        gt_emb=centre[gt_person] + random.standard_normal((case.boxes, case.dims), np.float32),
        det_image=gt_image[source],
        det_box=gt_box[source] + np.tile(shift, 2).astype(np.float32),
        det_score=random.uniform(0.5, 1, case.detections).astype(np.float32),
        det_emb=noise,
    )
    queries = random.permutation(case.boxes)[: case.queries]
    if case.gallery is None:
        return arrays, Protocol(queries)
    return arrays, Protocol(
        queries, None, tuple(listed_gallery(random, arrays, query, case.gallery) for query in queries)
    )


def listed_gallery(
    random: np.random.Generator, arrays: EvaluationArrays, query: int, size: int
) -> npt.NDArray[np.int64]:
    """Distinct scenes, those with the person among them."""
    with_person = np.unique(arrays.gt_image[arrays.gt_person == arrays.gt_person[query]])
    return np.unique(np.append(with_person, random.permutation(arrays.image_ids)[: size - len(with_person)]))


if __name__ == "__main__":
    main()
