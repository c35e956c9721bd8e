"""Miniature releases for tests: copies of the parity folder's, and a way to damage them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.io
from PIL import Image

PARITY = Path(__file__).parents[2] / "parity"
SOURCES = {
    "cuhk-sysu": PARITY / "native" / "CUHK-SYSU",
    "prw": PARITY / "native" / "PRW-v16.04.20",
    "cocopersons": Path(__file__).parent / "coco",
}


def copy_release(source: str, folder: Path) -> Path:
    """A writable copy of a miniature release in the new folder; one's own data are made."""
    if source in MAKERS:
        return MAKERS[source](folder)
    shutil.copytree(SOURCES[source], folder, copy_function=shutil.copyfile)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def make_sequence(folder: Path, frames: int = 9, tracks: int = 3, rows: list[str] | None = None) -> Path:
    """A MOTChallenge sequence of 64x48 frames: track t stands at x = 10 t in every frame."""
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    for frame in range(1, frames + 1):
        Image.new("RGB", (64, 48), (frame, 0, 0)).save(folder / "img1" / f"{frame:06d}.jpg")
    made = [f"{frame},{t},{10 * t},5,8,20,1,1,1" for frame in range(1, frames + 1) for t in range(1, tracks + 1)]
    (folder / "gt" / "gt.txt").write_text("\n".join(made if rows is None else rows) + "\n")
    info = f"name={folder.name}\nimDir=img1\nframeRate=7\nseqLength={frames}\nimWidth=64\nimHeight=48\nimExt=.jpg"
    (folder / "seqinfo.ini").write_text(f"[Sequence]\n{info}\n")
    return folder


def make_scenes(folder: Path, names: list[str]) -> None:
    """Images of 64x48 pixels."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (number, 0, 0)).save(folder / name)


def make_coco(folder: Path, scenes: int = 9) -> Path:
    """A folder as FiftyOne exports it: labels.json and data/; three people in each scene, the last one unknown."""
    names = [f"{row}.jpg" for row in range(scenes)]
    make_scenes(folder / "data", names)
    images = [{"id": row, "file_name": name, "width": 64, "height": 48} for row, name in enumerate(names)]
    people: list[dict[str, Any]] = []
    for row in range(scenes):
        for number in range(3):
            record = {"id": len(people), "image_id": row, "category_id": 2, "bbox": [10 * number, 5, 8, 20]}
            people.append(record | ({"person_id": f"P{number}"} if number < 2 else {}))
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}]
    (folder / "labels.json").write_text(json.dumps({"images": images, "annotations": people, "categories": categories}))
    return folder


def make_yolo(folder: Path, scenes: int = 9) -> Path:
    """A folder as CVAT exports it: images/street/ and labels/street/; two people in each scene, and a car."""
    make_scenes(folder / "images" / "street", [f"{row}.jpg" for row in range(scenes)])
    (folder / "labels" / "street").mkdir(parents=True)
    lines = "0 0.25 0.5 0.125 0.5 4\n0 0.75 0.5 0.125 0.5 7\n1 0.5 0.5 0.2 0.2\n"
    for row in range(scenes):
        (folder / "labels" / "street" / f"{row}.txt").write_text(lines)
    return folder


def make_crops(folder: Path) -> Path:
    """Crops of two cameras, one person in train and one in test, who is searched for once; one distractor."""
    names = [f"c{camera}s1_{frame:06d}" for camera in (1, 2) for frame in (1, 2)]
    make_scenes(folder / "scenes", [f"{name}.jpg" for name in names])
    crops = [f"bounding_box_train/0002_{name}_01.jpg" for name in names]
    crops += [f"bounding_box_test/0007_{name}_01.jpg" for name in names[1:]]
    crops += ["bounding_box_test/0000_c1s1_000001_9.jpg", f"query/0007_{names[0]}_00.jpg"]
    rows = [f"{crop},{5 + 9 * number % 40},6,8,20" for number, crop in enumerate(crops)]
    (folder / "boxes.csv").write_text("\n".join(["crop,x,y,width,height", *rows, ""]))
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "mot": make_sequence,
    "coco": make_coco,
    "yolo": make_yolo,
    "crops": make_crops,
}


def arguments_of(source: str, root: Path) -> list[str]:
    """`spnet prepare`'s arguments for a source that lies in `root`."""
    named = {"mot": root, "coco": root / "labels.json", "yolo": root / "images" / "street"}
    return ["prepare", source, *(["--train", str(named[source])] if source in named else ["--source", str(root)])]


def truncate(path: Path, share: float = 0.5) -> None:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def edit_mat(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Load a MATLAB file's variables, let `edit` change them in place, and write them again."""
    content = {key: value for key, value in scipy.io.loadmat(path).items() if not key.startswith("__")}
    edit(content)
    scipy.io.savemat(path, content)


def edit_json(path: Path, edit: Callable[[Any], Any]) -> None:
    """Load a JSON file, let `edit` change it in place, and write it again."""
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def edit_lines(path: Path, edit: Callable[[list[str]], None]) -> None:
    """Load a text file's lines, let `edit` change them in place, and write them again."""
    lines = path.read_text().splitlines()
    edit(lines)
    path.write_text("\n".join(lines) + "\n")


def cells(values: list[Any]) -> npt.NDArray[np.object_]:
    """A MATLAB column of cells."""
    column = np.empty((len(values), 1), object)
    column[:, 0] = values
    return column
