"""Looking through a data set: counts, contradictions between splits, damaged images, the sheet."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spnet.data.contact_sheet import COLUMNS, TILE, _choose_scenes, render_contact_sheet, save_contact_sheet
from spnet.data.inspection import (
    count,
    find_id_conflicts,
    find_invalid_queries,
    find_missing,
    list_images,
    read_images,
    read_splits,
)
from spnet.data.schema import Split, image_record, person_record, write_dataset
from spnet.errors import UserError


def make_dataset(folder: Path, val_box: Any = (60, 10, 20, 40)) -> Path:
    """Train has two scenes of person 1 and one empty scene; val is train's second scene."""
    images = [
        image_record(0, "a.png", 100, 80, 1),
        image_record(1, "b.png", 100, 80, 2),
        image_record(2, "c.png", 50, 40),
    ]
    persons = [person_record(0, 0, (-5, 10, 20, 40), 1), person_record(1, 1, (60, 10, 20, 40), 1)]
    persons.append(person_record(2, 1, (10, 10, 10, 20), 2, is_known=False))
    val = [person_record(1, 1, val_box, 1)]
    splits = {"train": Split(images, persons, "images"), "val": Split(images[1:2], val, "images")}
    write_dataset(folder, splits, {"val": {"queries": [1], "images": [1]}})
    (folder / "images").mkdir()
    for image in images:
        Image.new("RGB", (image["width"], image["height"]), (0, 0, 90)).save(folder / "images" / image["file_name"])
    return folder


def test_counts(tmp_path: Path) -> None:
    splits, problems = read_splits(make_dataset(tmp_path / "data"))
    assert problems == []
    counts = count(splits["train"])
    assert (counts.scenes, counts.empty_scenes, counts.cameras) == (3, 1, 2)
    assert (counts.boxes, counts.known_boxes, counts.identities, counts.singles) == (3, 2, 1, 0)
    assert counts.over_the_edge == 1
    np.testing.assert_allclose(counts.widths[1], 20)
    np.testing.assert_allclose(counts.heights[1], 40)
    assert count(splits["val"]).singles == 1


def test_parts_may_share_ids_but_not_contradict_each_other(tmp_path: Path) -> None:
    assert find_id_conflicts(read_splits(make_dataset(tmp_path / "good"))[0]) == []
    bad, _ = read_splits(make_dataset(tmp_path / "bad", val_box=(61, 10, 20, 40)))
    assert find_id_conflicts(bad) == ["val: annotation id 1 means another annotation in train (1 such ids)"]


def test_a_split_that_cannot_be_used_is_a_problem_and_the_others_are_shown(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "data")
    (folder / "annotations" / "test.json").write_text("{")
    splits, problems = read_splits(folder)
    assert list(splits) == ["train", "val"]
    assert len(problems) == 1
    assert "test.json: not JSON" in problems[0]


def test_splits_come_in_the_order_of_their_numbers_and_the_sheet_shows_other_scenes_of_each(tmp_path: Path) -> None:
    images = [image_record(row, f"{row}.png", 100, 80) for row in range(8)]
    persons = [person_record(row, row, (60, 10, 20, 40), row) for row in range(8)]
    names = ["train", "p100", "p20", "G10_val", "p180", "G100_val"]
    write_dataset(tmp_path / "data", {name: Split(images, persons, "images") for name in names}, {})
    splits, _ = read_splits(tmp_path / "data")
    assert list(splits) == ["G10_val", "G100_val", "p20", "p100", "p180", "train"]
    chosen = _choose_scenes(splits)
    assert [name for name, _ in chosen] == [name for name in splits for _ in range(2)]
    assert {row for _, row in chosen} == set(range(8))


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no prepared data set"):
        read_splits(tmp_path)


def test_protocols_must_be_about_one_split(tmp_path: Path) -> None:
    splits, _ = read_splits(make_dataset(tmp_path / "data"))
    assert find_invalid_queries("val", np.array([1]), np.array([1, 2]), splits) == []
    (problem,) = find_invalid_queries("val", np.array([1, 9]), np.array([1]), splits)
    assert problem == "protocol val: no split has all of its 2 queries and 1 scenes"


def test_every_image_is_read_once_and_problems_are_named(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "data")
    splits, _ = read_splits(folder)
    images = list_images(splits)
    assert [path.name for path, _ in images] == ["a.png", "b.png", "c.png"]
    assert list(read_images(images, num_workers=2)) == [None, None, None]
    damaged = folder / "images" / "b.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    Image.new("RGB", (40, 50)).save(folder / "images" / "c.png")
    first, second, third = read_images(images, num_workers=2)
    assert first is None
    assert "b.png" in str(second)
    assert "c.png" in str(third)
    assert "40 x 50" in str(third)
    damaged.unlink()
    assert [problem.split(":")[0] for problem in find_missing(splits)] == ["train", "val"]


def test_the_sheet_shows_boxes_of_scenes_with_persons(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "data")
    splits, _ = read_splits(folder)
    sheet = np.array(render_contact_sheet(splits))
    assert sheet.shape == (TILE[1], COLUMNS * TILE[0], 3)
    scale = TILE[1] / 80
    row, column = round(30 * scale), TILE[0] + round(60 * scale)  # left edge of person 1 in the second tile, scene b
    assert sheet[row, column - 4 : column + 4].max() > 200
    gray = TILE[0] + round(10 * scale)
    assert (sheet[round(15 * scale), gray - 4 : gray + 4] == (150, 150, 150)).all(axis=1).any()
    save_contact_sheet(splits, tmp_path / "sheet.jpg")
    assert Image.open(tmp_path / "sheet.jpg").size == (sheet.shape[1], sheet.shape[0])
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["sheet.jpg"]
