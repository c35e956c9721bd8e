"""Run a network over a whole split: everything an evaluation needs, in the pixels of the image files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spnet.config.schema import InferenceConfig
from spnet.data.augment import whole_scene
from spnet.data.dataloader import evaluation_loader
from spnet.data.dataset import PersonSearchDataset
from spnet.data.schema import Annotations
from spnet.evaluation.arrays import EvaluationArrays
from spnet.models.fpn import FeatureMaps
from spnet.models.inference import detect_all, embed_regions
from spnet.models.spnet import SPNet
from spnet.progress import show_progress
from spnet.types import Detections, SceneBatch

Columns = dict[str, npt.NDArray[Any]]  # of a table; each has a dtype of its own

LEAST_SIDE = 1e-3  # pixels; a box squeezed thinner at the image's edge is no detection


@dataclass(frozen=True)
class ExtractionConfig:
    """How a network is run over a split."""

    inference: InferenceConfig  # its sizes, antialias and precision; what is kept of a scene, the network knows itself
    batch_size: int = 4
    num_workers: int = 0
    device: torch.device | str = "cpu"


def default_device() -> str:
    """Return `cuda` if there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@torch.no_grad()
def iter_features(
    network: SPNet, annotations: Annotations, how: ExtractionConfig, title: str
) -> Iterator[tuple[SceneBatch, FeatureMaps]]:
    """Yield every scene once, in batches, with its features; `targets.person` is the row of the annotation.

    Raises UserError for an image that is missing, broken or of another size than annotated.
    """
    scenes = PersonSearchDataset(annotations, whole_scene(how.inference), seed=0, unique_id_per_box=True)
    loader = evaluation_loader(scenes, how.batch_size, how.num_workers)
    network.to(how.device).eval()
    for batch in show_progress(loader, title, len(loader)):
        moved = batch.to(how.device)
        # also while the caller works on the features: what it embeds and detects has the same precision
        with torch.autocast(moved.images.device.type, torch.float16, enabled=how.inference.precision == "float16"):
            yield moved, network.features(moved.images, moved.sizes)


@torch.no_grad()
def extract_arrays(network: SPNet, annotations: Annotations, how: ExtractionConfig) -> EvaluationArrays:
    """Detect everyone in a split, and embed the annotated boxes. Raises UserError as `iter_features`."""
    rows, annotated = [], []
    tables: list[Columns] = []
    for batch, features in iter_features(network, annotations, how, "detecting everyone"):
        rows.append(batch.targets.person)
        annotated.append(embed_regions(network.embed, features, batch.targets.boxes, batch.targets.scene))
        tables.append(detection_columns(detect_all(network, features), batch))
    return EvaluationArrays(
        **annotation_columns(annotations),
        gt_emb=in_annotation_order(annotations, rows, annotated, network.config.reid_dim),
        **{
            f"det_{name}": np.concatenate([table[name] for table in tables])
            for name in ("image", "box", "score", "emb")
        },
    )


def annotation_columns(annotations: Annotations) -> Columns:
    """Return the columns of the evaluation's arrays that come from the annotations alone."""
    return {
        "image_ids": annotations.scene_ids,
        "gt_image": annotations.scene_ids[annotations.box_scene],
        "gt_box": annotations.boxes,
        "gt_person": annotations.person_ids,
        "gt_annotation": annotations.box_ids,
        "gt_iou_thresh": annotations.iou_thresholds,
    }


def in_annotation_order(
    annotations: Annotations, rows: list[Tensor], values: list[Tensor], dims: int
) -> npt.NDArray[np.float32]:
    """Order values (n, dims) of annotation rows (n,), batch by batch, as the annotations: (N, dims) float32."""
    ordered = np.zeros((len(annotations.boxes), dims), np.float32)
    ordered[torch.cat(rows).cpu().numpy()] = torch.cat(values).float().cpu().numpy()
    return ordered


def detection_columns(detections: Detections, batch: SceneBatch) -> Columns:
    """Convert detections to columns, boxes in pixels of the image files; boxes without an area are left out."""
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
