"""A small annotated folder of images for the tests of scenes and batches."""

from pathlib import Path

import numpy as np
from PIL import Image

from spnet.data.schema import Annotations

SIZES = ((96, 64), (64, 96), (80, 80), (96, 64), (120, 60), (64, 96), (72, 72))
BOXES = [
    *[(0, 10, 10, 30, 50, 7, True), (0, 40, 5, 60, 60, 5, False), (0, 60, 10, 80, 60, 3, True)],
    *[(1, 5, 20, 35, 90, 3, True), (2, 20, 20, 40, 70, 9, True), (4, 30, 5, 50, 55, 6, False)],
    *[(6, 10, 10, 30, 60, 7, True), (5, 10, 10, 30, 80, 11, True)],
]  # scene, x1, y1, x2, y2, person, known


def make_annotations(folder: Path) -> Annotations:
    """Seven scenes of five shapes, one of them (the fourth) without a box; rows of boxes not sorted by scene."""
    names = tuple(f"{index}.jpg" for index in range(len(SIZES)))
    for index, (width, height) in enumerate(SIZES):
        noise = np.random.default_rng(index).integers(20, 255, (height // 8, width // 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((width, height), Image.Resampling.BILINEAR).save(folder / names[index])
    table = np.array(BOXES, dtype=float)
    return Annotations(
        image_root=folder,
        file_names=names,
        scene_ids=np.arange(len(SIZES)) + 100,
        sizes=np.array(SIZES),
        cameras=np.full(len(SIZES), -1),
        box_ids=np.arange(len(table)),
        box_scene=table[:, 0].astype(int),
        boxes=table[:, 1:5],
        person_ids=table[:, 5].astype(int),
        is_known=table[:, 6].astype(bool),
        iou_thresholds=np.full(len(table), 0.5),
    )
