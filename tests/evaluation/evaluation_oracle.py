"""The evaluator once more, as slowly and plainly as possible, and random little galleries to hold ours against it."""

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import average_precision_score

from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.protocols import Protocol


def iou(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    a, b = first.astype(float), second.astype(float)
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return float(both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both))


def cosine(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> np.float32:
    a, b = (torch.nn.functional.normalize(torch.from_numpy(x)[None], dim=1)[0].numpy() for x in (first, second))
    return np.float32(np.dot(a.astype(float), b.astype(float)))


def gallery_of(arrays: EvaluationArrays, protocol: Protocol, query: int) -> list[int]:
    if protocol.galleries is not None:
        return list(map(int, protocol.galleries[query]))
    return list(map(int, arrays.image_ids if protocol.images is None else protocol.images))


def search(
    arrays: EvaluationArrays, protocol: Protocol, mode: str, weighted: bool = False, score_threshold: float = 0.5
) -> tuple[list[float], list[int]]:
    """Average precision and rank of the first match, for each query."""
    precisions, ranks = [], []
    for number, annotation in enumerate(protocol.queries.tolist()):
        query = arrays.gt_annotation.tolist().index(annotation)
        gallery = [scene for scene in gallery_of(arrays, protocol, number) if scene != arrays.gt_image[query]]
        labels, similarities, wanted = [], [], 0
        for scene in dict.fromkeys(gallery):
            boxes = [
                box
                for box in range(len(arrays.gt_image))
                if arrays.gt_image[box] == scene and arrays.gt_person[box] == arrays.gt_person[query]
            ]
            if mode == "published":
                boxes = boxes[:1]
            wanted += len(boxes) * (gallery.count(scene) if mode == "published" else 1)
            ranking = []
            for detection in range(len(arrays.det_image)):
                if arrays.det_image[detection] == scene and arrays.det_score[detection] >= score_threshold:
                    similarity = cosine(arrays.gt_emb[query], arrays.det_emb[detection])
                    if weighted:
                        similarity = similarity * np.float32(arrays.det_score[detection])
                    ranking.append((similarity, detection))
            for similarity, detection in sorted(ranking, key=lambda item: (-item[0], item[1])):
                overlaps = [(iou(arrays.gt_box[box], arrays.det_box[detection]), -box) for box in boxes]
                enough = [pair for pair in overlaps if pair[0] >= arrays.gt_iou_thresh[-pair[1]]]
                if enough:
                    boxes.remove(-max(enough)[1])
                labels.append(bool(enough))
                similarities.append(similarity)
        if any(labels):
            precisions.append(average_precision_score(labels, similarities) * sum(labels) / wanted)
            by_rank = sorted(zip((-s for s in similarities), labels, strict=True))
            ranks.append(1 + [label for _, label in by_rank].index(True))
        else:
            precisions.append(0.0)
            ranks.append(0)
    return precisions, ranks


def detect(arrays: EvaluationArrays, iou_threshold: float = 0.5, score_threshold: float = 0.5) -> tuple[float, float]:
    """Recall and average precision."""
    labels, scores = [], []
    for scene in arrays.image_ids:
        boxes = [row for row in range(len(arrays.gt_image)) if arrays.gt_image[row] == scene]
        found = [
            row
            for row in range(len(arrays.det_image))
            if arrays.det_image[row] == scene and arrays.det_score[row] >= score_threshold
        ]
        table = [[iou(arrays.gt_box[box], arrays.det_box[row]) for box in boxes] for row in found]
        for place, row in enumerate(found):
            best = int(np.argmax(table[place])) if boxes else -1
            is_best = boxes and int(np.argmax([line[best] for line in table])) == place
            labels.append(bool(is_best and table[place][best] >= iou_threshold))
            scores.append(arrays.det_score[row])
    recall = sum(labels) / max(1, len(arrays.gt_image))
    return recall, (average_precision_score(labels, scores) * recall if any(labels) else 0.0)


def random_gallery(seed: int) -> tuple[EvaluationArrays, Protocol]:
    """A few scenes with 0–4 boxes of a person, missed and doubled persons, empty scenes, and many ties.

    Everything that decides an order is exact in float32, so that any way of computing it must agree: half of the
    galleries have few different similarities, the others (queries along one axis) many.
    """
    random = np.random.default_rng(seed)
    scenes = random.permutation(100)[: random.integers(1, 8)]
    rows = [
        (scene, person)
        for scene in scenes
        for person in range(random.integers(1, 5))
        for _ in range(random.choice(5, p=[0.35, 0.4, 0.15, 0.05, 0.05]))
    ] or [(scenes[0], 0)]
    gt_image, gt_person = np.array(rows).T
    gt_box = _boxes(random, len(rows))
    source = random.integers(0, len(rows), random.integers(0, 3 * len(rows)))  # of a detection; several of one box
    jitter = random.integers(-2, 3, (len(source), 4)) * (random.random((len(source), 1)) < 0.7)
    near = np.sort((gt_box[source] + jitter).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    det_box = np.where(random.random((len(source), 1)) < 0.8, near, _boxes(random, len(source)))
    det_box[:, 2:] = np.maximum(det_box[:, 2:], det_box[:, :2] + 1)
    order = random.permutation(len(rows))
    arrays = EvaluationArrays(
        image_ids=scenes,
        gt_image=gt_image[order],
        gt_box=gt_box[order],
        gt_person=gt_person[order],
        gt_annotation=random.permutation(1000)[: len(rows)],
        gt_iou_thresh=random.choice([0.25, 0.5, 0.4], len(rows)),
        gt_emb=_embeddings(random, len(rows), seed % 2 == 0),
        det_image=gt_image[source],
        det_box=det_box,
        det_score=random.choice(np.array([0.25, 0.5, 0.625, 0.75, 1], np.float32), len(source)),
        det_emb=_copied(random, random.standard_normal((len(source), 16), np.float32))
        if seed % 2
        else _embeddings(random, len(source), True),
    )
    return arrays, _protocol(random, arrays)


def _boxes(random: np.random.Generator, number: int) -> npt.NDArray[np.float32]:
    corners = random.integers(0, 12, (number, 2))
    return np.concatenate([corners, corners + random.integers(4, 12, (number, 2))], axis=1).astype(np.float32)


def _embeddings(random: np.random.Generator, number: int, spread: bool) -> npt.NDArray[np.float32]:
    """Rows of length 2 with four elements ±1 (cosines are multiples of 1/4), or along one axis; times a power of 2."""
    elements = random.choice(np.array([-1, 1], np.float32), (number, 16)) * (np.arange(16) < (4 if spread else 1))
    shuffled = random.permuted(elements, axis=1)
    scaled: npt.NDArray[np.float32] = shuffled * random.choice(np.array([0.5, 1, 4], np.float32), (number, 1))
    return scaled


def _copied(random: np.random.Generator, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Every third row, about, is a copy of another: exact ties."""
    number = len(embeddings)
    source = np.where(random.random(number) < 0.3, random.integers(0, max(1, number), number), np.arange(number))
    return embeddings[source]


def _protocol(random: np.random.Generator, arrays: EvaluationArrays) -> Protocol:
    queries = random.permutation(arrays.gt_annotation)[: random.integers(1, 5)]
    kind = random.integers(0, 3)
    if kind == 0:
        return Protocol(queries)
    if kind == 1:
        return Protocol(queries, random.choice(arrays.image_ids, random.integers(0, 12)))
    return Protocol(queries, None, tuple(random.choice(arrays.image_ids, random.integers(0, 12)) for _ in queries))
