"""The annotation format every source is converted to, and the only place that reads or writes it.

A prepared data set is a folder:

    DIR/annotations/<split>.json     COCO JSON with person fields
    DIR/retrieval/<protocol>.json    queries and galleries

Annotations add to COCO `person_id`, `is_known`, `iou_thresh`; images add `cam_id`; `info.image_root` says where the
pictures are (absolute, or relative to DIR).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Annotations:
    """One split: S scenes and N boxes as arrays, in the order of the file."""

    image_root: Path
    file_names: tuple[str, ...]  # (S,)
    scene_ids: np.ndarray  # (S,) int64
    sizes: np.ndarray  # (S, 2) int64 width, height in pixels
    cameras: np.ndarray  # (S,) int64, -1 where no camera is given
    box_ids: np.ndarray  # (N,) int64
    box_scene: np.ndarray  # (N,) int64, row into the scenes
    boxes: np.ndarray  # (N, 4) float64, pixels xyxy
    person_ids: np.ndarray  # (N,) int64
    is_known: np.ndarray  # (N,) bool
    iou_thresholds: np.ndarray  # (N,) float64
