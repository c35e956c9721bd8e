"""Evaluation of the query-centric path: every query has detections of its own in every scene of its gallery.

Ranking needs of a detection only its similarity to its query, so that is all that is kept: an embedding in the plane
whose angle to the query's, (1, 0), has this cosine. The evaluator stays the same.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import normalize

from spnet.data.schema import Annotations
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.detection import DetectionResult, evaluate_detection
from spnet.evaluation.extract import (
    ExtractionConfig,
    annotation_columns,
    detection_columns,
    in_annotation_order,
    iter_features,
)
from spnet.evaluation.protocols import Protocol, resolve_protocol
from spnet.evaluation.report import SETTINGS, Report
from spnet.evaluation.retrieval import RetrievalResult, evaluate
from spnet.models.inference import detect_queries
from spnet.models.spnet import SPNet

Tables = dict[str, np.ndarray]


def evaluate_query_pathway(
    network: SPNet, annotations: Annotations, protocols: Mapping[str, Protocol], how: ExtractionConfig
) -> Report:
    """All figures of SPEC section 6 along the query-centric path.

    Recall and AP count a query's person in each scene of its gallery as one thing to find. GT mAP is that of the
    annotated boxes, as on the other path.

    Raises:
        UserError: an image that is missing, broken or of another size than annotated, or a protocol that does not fit.
    """
    reid, location = _annotated_embeddings(network, annotations, how)
    perfect = _arrays(annotations, reid)
    searched = np.unique(
        np.concatenate([resolve_protocol(protocol, perfect).query_box for protocol in protocols.values()])
    )
    found = _find(network, annotations, reid[searched], location[searched], how)
    searches, detection = {}, None
    for name, protocol in protocols.items():
        searches[name] = {
            setting: evaluate(perfect, protocol, ground_truth=True)
            if flags.get("ground_truth")
            else _search(annotations, protocol, searched, found, **flags)
            for setting, flags in SETTINGS.items()
        }
        if detection is None:
            detection = _detection(annotations, resolve_protocol(protocol, perfect).query_box, searched, found)
    return Report("published", 0.5, detection or DetectionResult(0.0, 0.0), searches)


def _annotated_embeddings(
    network: SPNet, annotations: Annotations, how: ExtractionConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Re-id (N, E) and location (N, D) embeddings of all annotated boxes."""
    rows, reid, location = [], [], []
    for batch, features in iter_features(network, annotations, how, "embedding queries"):
        places = (batch.targets.boxes, batch.targets.scene)
        rows.append(batch.targets.person)
        with torch.no_grad():
            reid.append(network.embed(features, *places))
            location.append(network.location_embed(1, features, *places))
    config = network.config
    return (
        in_annotation_order(annotations, rows, reid, config.reid_dim),
        in_annotation_order(annotations, rows, location, config.location_dim),
    )


def _find(
    network: SPNet, annotations: Annotations, reid: np.ndarray, location: np.ndarray, how: ExtractionConfig
) -> Tables:
    """What each query finds in each scene: columns image, box, score, query (row of the queries), similarity."""
    queries = torch.from_numpy(location).to(how.device)
    directions = normalize(torch.from_numpy(reid))
    tables: list[Tables] = []
    for batch, features in iter_features(network, annotations, how, "finding queries"):
        table = detection_columns(detect_queries(network, features, queries), batch)
        embeddings = normalize(torch.from_numpy(table.pop("emb")))
        table["similarity"] = (embeddings * directions[torch.from_numpy(table["query"])]).sum(1).numpy()
        tables.append(table)
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _arrays(annotations: Annotations, embeddings: np.ndarray) -> EvaluationArrays:
    dims = embeddings.shape[1]
    return EvaluationArrays(
        **annotation_columns(annotations),
        gt_emb=embeddings,
        det_image=np.zeros(0, np.int64),
        det_box=np.zeros((0, 4), np.float32),
        det_score=np.zeros(0, np.float32),
        det_emb=np.zeros((0, dims), np.float32),
    )


def _search(
    annotations: Annotations, protocol: Protocol, searched: np.ndarray, found: Tables, confidence_weighted: bool = False
) -> RetrievalResult:
    """One query after the other, each among its own detections."""
    base = _arrays(annotations, np.tile(np.array([[1, 0]], np.float32), (len(annotations.boxes), 1)))
    box_of = {int(annotations.box_ids[row]): number for number, row in enumerate(searched)}
    results = []
    for number, query in enumerate(protocol.queries.tolist()):
        galleries = None if protocol.galleries is None else (protocol.galleries[number],)
        own = replace(base, **_planar(found, found["query"] == box_of[query]))
        alone = Protocol(protocol.queries[number : number + 1], protocol.images, galleries)
        results.append(evaluate(own, alone, confidence_weighted=confidence_weighted))
    return RetrievalResult(
        protocol.queries,
        np.concatenate([result.average_precisions for result in results]),
        np.concatenate([result.first_match_ranks for result in results]),
    )


def _planar(found: Tables, rows: np.ndarray) -> Tables:
    cosine = found["similarity"][rows].clip(-1, 1)
    return {
        "det_image": found["image"][rows],
        "det_box": found["box"][rows],
        "det_score": found["score"][rows],
        "det_emb": np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1).astype(np.float32),
    }


def _detection(annotations: Annotations, query_box: np.ndarray, searched: np.ndarray, found: Tables) -> DetectionResult:
    """Every query in every scene but its own is a scene of its own, whose one box is the person's (if there)."""
    scenes = len(annotations.scene_ids)
    row_of_scene = {int(scene): row for row, scene in enumerate(annotations.scene_ids)}
    number = np.full(len(annotations.boxes), -1)
    number[searched] = np.arange(len(searched))
    person = annotations.person_ids[query_box]
    box, query = np.nonzero(annotations.person_ids[:, None] == person)
    away = annotations.box_scene[box] != annotations.box_scene[query_box[query]]
    box, query = box[away], query[away]
    det_scene = np.array([row_of_scene[int(scene)] for scene in found["image"]], np.int64)
    own = annotations.box_scene[searched][found["query"]] == det_scene
    kept = ~own & np.isin(found["query"], number[query_box])
    planar = _planar(found, kept) | {"det_image": found["query"][kept] * scenes + det_scene[kept]}
    gt_image = number[query_box[query]] * scenes + annotations.box_scene[box]
    arrays = EvaluationArrays(
        image_ids=np.unique(np.concatenate([gt_image, planar["det_image"]])),
        gt_image=gt_image,
        gt_box=annotations.boxes[box],
        gt_person=annotations.person_ids[box],
        gt_annotation=np.arange(len(box)),
        gt_iou_thresh=annotations.iou_thresholds[box],
        gt_emb=np.zeros((len(box), 2), np.float32),
        **planar,
    )
    return evaluate_detection(arrays)
