"""Evaluation of the query-centric pathway: every query has detections of its own in every scene of its gallery.

A query in a scene of its gallery is a *pair*. For the evaluator each pair is a scene of its own, with the boxes of the
query's person and what the query finds there, so that all queries are scored at once. Ranking needs of a detection only
its similarity to its query, so that is all that is kept: an embedding in the plane whose angle to the query's, (1, 0),
has this cosine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from spnet.data.schema import Annotations
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.detection import DetectionResult, evaluate_detection
from spnet.evaluation.extract import (
    Columns,
    ExtractionConfig,
    annotation_columns,
    detection_columns,
    in_annotation_order,
    iter_features,
)
from spnet.evaluation.protocols import Galleries, Protocol, resolve_protocol
from spnet.evaluation.report import SETTINGS, Report
from spnet.evaluation.retrieval import evaluate
from spnet.models.inference import embed_regions, iter_query_detections, with_cosines
from spnet.models.spnet import SPNet
from spnet.ragged import concat_ranges, group, index_of

# Streams, not lists of arrays: small arrays that outlive a chunk lie between its large blocks in malloc's heap, which
# then cannot be used again, and memory grows with the number of chunks
COLUMNS = {
    "pair": np.dtype(np.int64),
    "box": np.dtype((np.float32, (4,))),
    "score": np.dtype(np.float32),
    "similarity": np.dtype(np.float32),
}


@dataclass(frozen=True)
class SearchPlan:
    """Which of Q queries are searched in which of S scenes, over all protocols."""

    boxes: npt.NDArray[np.int64]  # (Q,) the queries' rows of the annotations, ascending
    wanted: npt.NDArray[np.bool_]  # (S, Q) never a query's own scene


def evaluate_query_pathway(
    network: SPNet, annotations: Annotations, protocols: Mapping[str, Protocol], how: ExtractionConfig
) -> Report:
    """All metrics along the query-centric pathway (docs/method.md, "Evaluation").

    Recall and AP are those of the first protocol: they count the boxes of a query's person in the scenes of its gallery
    that hold the person. GT mAP is that of the annotated boxes, as on the other pathway. Raises UserError as
    `iter_features`, and for a protocol that does not fit.
    """
    bare = _without_detections(annotations, np.zeros((len(annotations.boxes), 1), np.float32))
    galleries = {name: resolve_protocol(protocol, bare) for name, protocol in protocols.items()}
    plan = plan_searches(list(galleries.values()))
    reid, location = embed_annotated(network, annotations, plan, how)
    pairs = _pair_arrays(annotations, plan, find_queries(network, annotations, plan, reid[plan.boxes], location, how))
    perfect = _without_detections(annotations, reid)
    in_pairs = {name: _pair_protocol(plan, galleries[name], pairs) for name in protocols}
    searches = {
        name: {
            setting: evaluate(perfect, protocol, **flags)
            if flags.get("ground_truth")
            else replace(evaluate(pairs, in_pairs[name], **flags), queries=protocol.queries)
            for setting, flags in SETTINGS.items()
        }
        for name, protocol in protocols.items()
    }
    return Report("published", 0.5, _detection(pairs, next(iter(in_pairs.values()))), searches)


def plan_searches(protocols: list[Galleries]) -> SearchPlan:
    """Every query once, in the scenes of its galleries of all protocols but its own scene."""
    boxes = np.unique(np.concatenate([galleries.query_box for galleries in protocols]))
    wanted = np.zeros((protocols[0].number_of_scenes, len(boxes)), bool)
    for galleries in protocols:
        query = index_of(boxes, galleries.query_box)
        if galleries.shared and len(query) > 1:
            wanted[np.ix_(galleries.scenes, query)] = True
        else:
            wanted[galleries.scenes, np.repeat(query, galleries.counts)] = True
    for galleries in protocols:
        wanted[galleries.own_scene, index_of(boxes, galleries.query_box)] = False
    return SearchPlan(boxes, wanted)


@torch.no_grad()
def embed_annotated(
    network: SPNet, annotations: Annotations, plan: SearchPlan, how: ExtractionConfig
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Re-id embeddings (N, E) of all annotated boxes, and the queries' location embeddings x_q (Q, D)."""
    shared = network.config.heads == "shared"  # one head gives both
    is_query = torch.zeros(len(annotations.boxes), dtype=torch.bool, device=how.device)
    is_query[torch.from_numpy(plan.boxes).to(how.device)] = True
    rows, reid, query_rows, location = [], [], [], []
    for batch, features in iter_features(network, annotations, how, "embedding queries"):
        targets = batch.targets
        rows.append(targets.person)
        reid.append(embed_regions(network.embed, features, targets.boxes, targets.scene))
        if not shared:
            chosen = is_query[targets.person]
            query_rows.append(targets.person[chosen])
            location.append(network.location_embed(1, features, targets.boxes[chosen], targets.scene[chosen]))
    embeddings = in_annotation_order(annotations, rows, reid, network.config.reid_dim)
    if shared:
        return embeddings, embeddings[plan.boxes]
    return embeddings, in_annotation_order(annotations, query_rows, location, network.config.location_dim)[plan.boxes]


@torch.no_grad()
def find_queries(
    network: SPNet,
    annotations: Annotations,
    plan: SearchPlan,
    reid: npt.NDArray[np.float32],
    location: npt.NDArray[np.float32],
    how: ExtractionConfig,
) -> Columns:
    """What each query finds in each scene it is searched in: columns pair (query · S + scene), box, score, similarity.

    `reid` (Q, E) and `location` (Q, D) are the queries' embeddings.
    """
    queries = torch.from_numpy(location).to(how.device)
    directions = normalize(torch.from_numpy(reid).to(how.device))
    columns = {name: BytesIO() for name in COLUMNS}
    for batch, features in iter_features(network, annotations, how, "finding queries"):
        scenes = index_of(annotations.scene_ids, batch.scene_ids.cpu().numpy())
        wanted: Tensor = torch.from_numpy(plan.wanted[scenes]).to(how.device)
        for found in iter_query_detections(network, features, queries, wanted):
            table = detection_columns(with_cosines(found, directions), batch)
            scene = index_of(annotations.scene_ids, table["image"])
            table["pair"] = table["query"] * len(annotations.scene_ids) + scene
            table["similarity"] = table["emb"][:, 0]
            for name, stream in columns.items():
                stream.write(table[name].astype(COLUMNS[name].base).tobytes())
    return {name: np.frombuffer(stream.getbuffer(), COLUMNS[name]) for name, stream in columns.items()}


def _without_detections(annotations: Annotations, embeddings: npt.NDArray[np.float32]) -> EvaluationArrays:
    return EvaluationArrays(
        **annotation_columns(annotations),
        gt_emb=embeddings,
        det_image=np.zeros(0, np.int64),
        det_box=np.zeros((0, 4), np.float32),
        det_score=np.zeros(0, np.float32),
        det_emb=np.zeros((0, embeddings.shape[1]), np.float32),
    )


def _pair_arrays(annotations: Annotations, plan: SearchPlan, found: Columns) -> EvaluationArrays:
    """Pairs as scenes: the queries' own boxes first (Q rows), then the boxes of their persons, and what was found.

    Pairs with neither a box nor a detection change no metric and are left out.
    """
    total, scenes = len(plan.boxes), len(annotations.scene_ids)
    query, box = _boxes_of_persons(annotations, plan)
    query, box = np.append(np.arange(total), query), np.append(plan.boxes, box)
    gt_image = query * scenes + annotations.box_scene[box]
    cosine = found["similarity"].clip(-1, 1)
    return EvaluationArrays(
        image_ids=np.unique(np.append(gt_image, found["pair"])),
        gt_image=gt_image,
        gt_box=annotations.boxes[box],
        gt_person=query,
        gt_annotation=np.arange(len(box)),
        gt_iou_thresh=annotations.iou_thresholds[box],
        gt_emb=np.tile(np.array([[1, 0]], np.float32), (len(box), 1)),
        det_image=found["pair"],
        det_box=found["box"],
        det_score=found["score"],
        det_emb=np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1).astype(np.float32),
    )


def _boxes_of_persons(
    annotations: Annotations, plan: SearchPlan
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Queries (M,) with each box (M,) of their persons in the scenes they are searched in, in annotation order."""
    persons, person = np.unique(annotations.person_ids, return_inverse=True)
    order, starts, counts = group(person, len(persons))
    query, place = concat_ranges(starts[person[plan.boxes]], counts[person[plan.boxes]])
    box = order[place]
    searched = plan.wanted[annotations.box_scene[box], query]
    return query[searched], box[searched]


def _pair_protocol(plan: SearchPlan, galleries: Galleries, pairs: EvaluationArrays) -> Protocol:
    """A protocol whose queries are rows of `pairs`, and whose galleries list a pair as often as its scene."""
    number, scene = np.divmod(pairs.image_ids, galleries.number_of_scenes)
    numbers = index_of(plan.boxes, galleries.query_box)
    query = index_of(numbers, number)
    searched = (query >= 0) & plan.wanted[scene, number]
    query, scene, pair = query[searched], scene[searched], pairs.image_ids[searched]
    entry = galleries.find(query, scene)
    query, entry, pair = query[entry >= 0], entry[entry >= 0], pair[entry >= 0]
    times = galleries.times_listed[entry]
    query, pair = np.repeat(query, times), np.repeat(pair, times)
    order, starts, _ = group(query, len(numbers))
    return Protocol(numbers, None, tuple(np.split(pair[order], starts[1:])))


def _detection(pairs: EvaluationArrays, in_pairs: Protocol) -> DetectionResult:
    """Detection in the protocol's pairs that hold the person."""
    listed = np.unique(np.concatenate(in_pairs.galleries or ()))
    with_person = listed[np.isin(listed, pairs.gt_image)]
    box, detection = np.isin(pairs.gt_image, with_person), np.isin(pairs.det_image, with_person)
    columns = {
        name: values[box if name.startswith("gt") else detection]
        for name, values in vars(pairs).items()
        if name != "image_ids"
    }
    return evaluate_detection(EvaluationArrays(image_ids=with_person, **columns))
