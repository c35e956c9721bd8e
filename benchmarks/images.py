"""Test images for the benchmarks of feeding, textured like a street: flat colours decode unrealistically fast."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from spnet.data.schema import Annotations

PERSONS = 5  # boxes a scene


def street_like(width: int, height: int, seed: int) -> npt.NDArray[np.uint8]:
    """(height, width, 3) uint8: light, surfaces, edges and film grain, in octaves as natural images have them."""
    generator = np.random.default_rng(seed)
    image = np.full((height, width, 3), 110, np.float32)
    for octave in range(2, 8):
        cells = 2**octave
        noise = generator.normal(size=(height * cells // 1024 + 2, width * cells // 1024 + 2, 3)).astype(np.float32)
        noise[..., 1:] = noise[..., :1] + 0.3 * noise[..., 1:]  # mostly light, little colour
        how = cv2.INTER_NEAREST if octave % 2 else cv2.INTER_CUBIC
        image += 60 / octave * cv2.resize(noise, (width, height), interpolation=how)
    image += generator.normal(scale=4, size=(height, width, 1))
    return np.clip(image, 0, 255).astype(np.uint8)


def make_scenes(folder: Path, width: int, height: int, count: int) -> Annotations:
    """Writes `count` images as JPEG of quality 90 and annotates random boxes of standing persons."""
    names = tuple(f"{width}x{height}_{index}.jpg" for index in range(count))
    for seed, name in enumerate(names):
        Image.fromarray(street_like(width, height, seed)).save(folder / name, quality=90)
    generator = np.random.default_rng(0)
    boxes = count * PERSONS
    tall = generator.uniform(0.1, 0.6, boxes) * height
    size = np.stack([tall * 0.4, tall], axis=1)
    corner = generator.uniform(size=(boxes, 2)) * ((width, height) - size)
    return Annotations(
        image_root=folder,
        file_names=names,
        scene_ids=np.arange(count),
        sizes=np.tile((width, height), (count, 1)),
        cameras=np.full(count, -1),
        box_ids=np.arange(boxes),
        box_scene=np.repeat(np.arange(count), PERSONS),
        boxes=np.concatenate([corner, corner + size], axis=1),
        person_ids=np.arange(boxes),
        is_known=np.ones(boxes, bool),
        iou_thresholds=np.full(boxes, 0.5),
    )
