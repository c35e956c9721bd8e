"""A prepared data set small enough to train on within a test, and options for a network as small."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spnet.data.schema import PersonRecord, ProtocolRecord, Split, image_record, person_record, write_dataset

WIDTH, HEIGHT = 96, 64
TRAIN_SCENES, TEST_SCENES = 12, 6

BACKBONE = {"depths": [1, 1, 1, 1], "dims": [8, 12, 16, 24]}

# keys of a run that takes seconds: one thread, no worker, crops of 64 pixels
KEYS: dict[str, Any] = {
    "model.backbone.name": "convnext_tiny",
    "model.backbone.weights": "none",
    "model.backbone.drop_path": 0.0,
    "model.backbone.model_kwargs": BACKBONE,
    "model.location_dim": 16,
    "model.reid_dim": 16,
    "model.anchor_size": 16,
    "model.inference.min_size": HEIGHT,
    "model.inference.max_size": WIDTH,
    "objective.samples_per_image": 32,
    "objective.queue_size": 32,
    "data.augmentation.crop_size": 64,
    "data.augmentation.min_size": HEIGHT,
    "data.augmentation.max_size": WIDTH,
    "data.batch_size": 4,
    "data.num_workers": 0,
    "data.cache_mb": 0,
    "optimizer.epochs": 1,
    "optimizer.lr": 0.01,
    "optimizer.warmup_steps": 0,
    "checkpoint.every_n_steps": 0,
    "optimizer.precision": "32-true",
}


def options(**changes: Any) -> list[str]:
    """`KEYS` as dotted options; a change is written `optimizer__epochs=2`."""
    keys = KEYS | {name.replace("__", "."): value for name, value in changes.items()}
    return [part for name, value in keys.items() for part in (f"--{name}", str(value).replace("'", ""))]


def make_dataset(folder: Path, twice: bool = False) -> Path:
    """Write splits `train` and `test` of images with people of one colour each; `twice`: a scene has one twice."""
    generator = np.random.default_rng(0)
    splits, first_box = {}, 0
    for name, first, scenes in (("train", 0, TRAIN_SCENES), ("test", TRAIN_SCENES, TEST_SCENES)):
        images = [image_record(first + row, f"{name}{row}.png", WIDTH, HEIGHT) for row in range(scenes)]
        persons: list[PersonRecord] = []
        for row in range(scenes):
            boxes = render_scene(folder / "images" / f"{name}{row}.png", row, generator)
            for number, box in enumerate(boxes):
                person = first + (0 if twice and row == 1 else (row + number) % 4)
                persons.append(person_record(first_box + len(persons), first + row, box, person))
        splits[name] = Split(images, persons, "../images")
        first_box += len(persons)
    queries = [record["id"] for record in splits["test"].annotations[::3]]
    listed = [image["id"] for image in splits["test"].images]
    protocols: dict[str, ProtocolRecord] = {
        "test": {"queries": queries, "images": "all"},
        "listed": {"queries": queries[:2], "images": listed},
    }
    write_dataset(folder / "data", splits, protocols)
    return folder / "data"


def render_scene(file: Path, row: int, generator: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """An image with two people, whose colours say who they are; returns their boxes x, y, width, height."""
    file.parent.mkdir(parents=True, exist_ok=True)
    image = generator.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    boxes = []
    for number in range(2):
        colour = np.array([(255, 40, 40), (40, 255, 40), (40, 40, 255), (255, 255, 40)][(row + number) % 4])
        x, y = 4 + 46 * number + int(generator.integers(0, 20)), int(generator.integers(2, 20))
        image[y : y + 40, x : x + 18] = colour - generator.integers(0, 40, (40, 18, 3))
        boxes.append((x, y, 18, 40))
    Image.fromarray(image).save(file)
    return boxes
