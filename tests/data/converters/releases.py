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
    """A writable copy of a miniature release in the new folder; for `mot` a sequence is made."""
    if source == "mot":
        return make_sequence(folder)
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


def truncate(path: Path, share: float = 0.5) -> None:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def edit_mat(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Load a MATLAB file's variables, let `edit` change them in place, and write them again."""
    content = {key: value for key, value in scipy.io.loadmat(path).items() if not key.startswith("__")}
    edit(content)
    scipy.io.savemat(path, content)


def edit_json(path: Path, edit: Callable[[Any], None]) -> None:
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
