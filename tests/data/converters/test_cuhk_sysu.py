"""CUHK-SYSU beyond the parity case: other layouts, what is counted, and the splits that the release does not have."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from releases import SOURCES, copy_release, edit_mat

from spnet.data.converters.cuhk_sysu import prepare_cuhk_sysu
from spnet.data.schema import write_dataset

TRAIN = "annotation/test/train_test/Train.mat"


def test_standard_protocol_is_the_gallery_of_100() -> None:
    prepared = prepare_cuhk_sysu(SOURCES["cuhk-sysu"])
    assert prepared.protocols["test"] == prepared.protocols["G100"]
    assert prepared.dropped == {"boxes without an area in Images.mat": 1}


def test_a_lower_case_image_folder_is_found(tmp_path: Path) -> None:
    root = copy_release("cuhk-sysu", tmp_path / "cuhk_sysu")
    (root / "Image" / "SSM").rename(root / "Image" / "ssm")
    assert prepare_cuhk_sysu(root.parent).splits["test"].image_root == str(root / "Image" / "ssm")


def test_train_and_val_share_nobody(tmp_path: Path) -> None:
    splits = prepare_cuhk_sysu(SOURCES["cuhk-sysu"]).splits
    persons = [{record["person_id"] for record in splits[name].annotations} for name in ("train", "val")]
    assert persons[0]
    assert persons[1]
    assert not persons[0] & persons[1]
    assert len(splits["train"].images) + len(splits["val"].images) == len(splits["trainval"].images)


def test_sightings_that_are_no_box_are_counted(tmp_path: Path) -> None:
    root = copy_release("cuhk-sysu", tmp_path / "release")

    def move(content: dict[str, npt.NDArray[np.void]]) -> None:
        content["Train"][0, 0][0, 0]["scene"][0, 0]["idlocate"] = np.array([[1, 2, 3, 4]])

    edit_mat(root / TRAIN, move)
    prepared = prepare_cuhk_sysu(root)
    assert prepared.dropped["sightings of trainval persons that are no box of a trainval scene"] == 1
    before = prepare_cuhk_sysu(SOURCES["cuhk-sysu"]).splits["trainval"].annotations
    changed = [
        old["id"] for old, new in zip(before, prepared.splits["trainval"].annotations, strict=True) if old != {**new}
    ]
    assert len(changed) == 1


def test_a_box_of_two_persons_stays_with_the_first(tmp_path: Path) -> None:
    root = copy_release("cuhk-sysu", tmp_path / "release")

    def repeat(content: dict[str, npt.NDArray[np.void]]) -> None:
        content["Train"][1, 0][0, 0]["scene"][0, 0] = content["Train"][0, 0][0, 0]["scene"][0, 0]

    edit_mat(root / TRAIN, repeat)
    prepared = prepare_cuhk_sysu(root)
    assert prepared.dropped["sightings of trainval persons in a box that is another person's already"] == 1
    write_dataset(tmp_path / "out", prepared.splits, prepared.protocols)
