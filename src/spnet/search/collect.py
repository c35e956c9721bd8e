"""A network over a whole split: everything an evaluation needs, in the pixels of the picture files."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from spnet.data.augment import Augmentation
from spnet.data.batches import evaluation_loader
from spnet.data.scenes import Scenes
from spnet.data.schema import Annotations
from spnet.evaluation.arrays import EvaluationArrays
from spnet.model.inference import find_everyone
from spnet.model.network import SPNet
from spnet.model.trunk import Pyramid
from spnet.structures import Detections, SceneBatch

LEAST_SIDE = 1e-3  # pixels; a box squeezed thinner at the picture's edge is no detection


@dataclass(frozen=True)
class Passing:
    """How a network goes over a split."""

    window: tuple[int, int]  # shortest side, largest longest side in pixels
    batch_size: int = 4
    workers: int = 0
    device: torch.device | str = "cpu"


def default_device() -> str:
    """A GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@torch.no_grad()
def pass_over(
    network: SPNet, annotations: Annotations, how: Passing, title: str
) -> Iterator[tuple[SceneBatch, Pyramid]]:
    """Every scene once, in batches, with its pyramid; `targets.person` is the row of the annotation.

    Raises:
        UserError: a picture that is missing, broken or of another size than annotated.
    """
    scenes = Scenes(annotations, Augmentation("wrs", window=how.window), seed=0, each_box_a_person=True)
    loader = evaluation_loader(scenes, how.batch_size, how.workers)
    network.to(how.device).eval()
    console = Console(stderr=True)
    for batch in track(loader, title, len(loader), console=console, disable=not console.is_terminal):
        moved = batch.to(how.device)
        yield moved, network.features(moved.images, moved.sizes)


@torch.no_grad()
def collect_arrays(network: SPNet, annotations: Annotations, how: Passing) -> EvaluationArrays:
    """Detections of everyone in a split, and the embeddings of the annotated boxes.

    Raises:
        UserError: a picture that is missing, broken or of another size than annotated.
    """
    rows, annotated = [], []
    tables: list[dict[str, np.ndarray]] = []
    for batch, pyramid in pass_over(network, annotations, how, "finding everyone"):
        rows.append(batch.targets.person)
        annotated.append(network.embed(pyramid, batch.targets.boxes, batch.targets.scene))
        tables.append(detection_columns(find_everyone(network, pyramid), batch))
    embeddings = in_annotation_order(annotations, rows, annotated, network.config.reid_dims)
    detections = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return EvaluationArrays(
        **annotation_columns(annotations),
        gt_emb=embeddings,
        det_image=detections["image"],
        det_box=detections["box"],
        det_score=detections["score"],
        det_emb=detections["emb"],
    )


def annotation_columns(annotations: Annotations) -> dict[str, np.ndarray]:
    """The columns of the evaluation's arrays that come from the annotations alone."""
    return {
        "image_ids": annotations.scene_ids,
        "gt_image": annotations.scene_ids[annotations.box_scene],
        "gt_box": annotations.boxes,
        "gt_person": annotations.person_ids,
        "gt_annotation": annotations.box_ids,
        "gt_iou_thresh": annotations.iou_thresholds,
    }


def in_annotation_order(annotations: Annotations, rows: list[Tensor], values: list[Tensor], dims: int) -> np.ndarray:
    """Values (n, dims) of annotation rows (n,), batch by batch -> (N, dims) float32 in the order of the annotations."""
    ordered = np.zeros((len(annotations.boxes), dims), np.float32)
    ordered[torch.cat(rows).cpu().numpy()] = torch.cat(values).float().cpu().numpy()
    return ordered


def detection_columns(detections: Detections, batch: SceneBatch) -> dict[str, np.ndarray]:
    """Detections as columns, boxes in pixels of the picture files; boxes without an area are left out."""
    boxes = detections.boxes / batch.scales[detections.scene].repeat(1, 2)
    has_area = ((boxes[:, 2:] - boxes[:, :2]) > LEAST_SIDE).all(1)
    columns = {
        "image": batch.scene_ids[detections.scene],
        "box": boxes,
        "score": detections.scores,
        "emb": detections.embeddings,
        "query": detections.query,
    }
    return {name: column[has_area].cpu().numpy() for name, column in columns.items()}
