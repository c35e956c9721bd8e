"""What a scene gives: views of one image with their targets, the same whenever and wherever they are made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from feeding import make_annotations

from spnet.config.schema import Augmentation
from spnet.data import dataset as dataset_module
from spnet.data.dataset import PersonSearchDataset
from spnet.data.decode import read_image
from spnet.errors import UserError

WRS = Augmentation("wrs", min_size=64, max_size=120)
RRC2 = Augmentation("rrc2", crop_size=32, min_size=64, max_size=120, num_views=2)


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that scenes read from now on."""
    reads: list[Path] = []

    def read(path: Path, size: tuple[int, int], reduction: int) -> tuple[npt.NDArray[np.uint8], int]:
        reads.append(path)
        return read_image(path, size, reduction)

    monkeypatch.setattr(dataset_module, "read_image", read)
    return reads


def test_evaluation_views_hold_the_scaled_boxes(tmp_path: Path) -> None:
    (view,) = PersonSearchDataset(make_annotations(tmp_path), replace(WRS, min_size=128, max_size=500), seed=0)[0]
    assert view.image.shape == (3, 128, 192)
    assert view.image.dtype == torch.uint8
    assert (view.scene_id, view.scale) == (100, (2.0, 2.0))
    expected = 2 * torch.tensor([[10.0, 10, 30, 50], [40, 5, 60, 60], [60, 10, 80, 60]])
    torch.testing.assert_close(view.boxes, expected)


def test_identities_are_contiguous_over_known_persons(tmp_path: Path) -> None:
    scenes = PersonSearchDataset(make_annotations(tmp_path), WRS, seed=0)
    assert scenes.num_identities == 4  # persons 3, 7, 9, 11
    assert scenes[0][0].person.tolist() == [7, 5, 3]
    assert scenes[0][0].identity.tolist() == [1, -1, 0]
    assert scenes[5][0].identity.tolist() == [3]
    assert scenes[6][0].identity.tolist() == [1]
    assert scenes[3][0].identity.dtype == scenes[0][0].person.dtype == torch.int64


def test_each_box_a_person_ignores_identities(tmp_path: Path) -> None:
    scenes = PersonSearchDataset(make_annotations(tmp_path), WRS, seed=0, unique_id_per_box=True)
    assert scenes.num_identities == 8
    assert scenes[0][0].person.tolist() == scenes[0][0].identity.tolist() == [0, 1, 2]
    assert scenes[5][0].person.tolist() == [7]  # the row of the annotation


def test_views_depend_on_seed_epoch_and_scene_alone(tmp_path: Path) -> None:
    annotations = make_annotations(tmp_path)
    scenes, others = PersonSearchDataset(annotations, RRC2, seed=1), PersonSearchDataset(annotations, RRC2, seed=1)
    for index in (4, 0, 2):  # in another order than below
        others[3, index]
    for index in range(len(scenes)):
        for view, same in zip(scenes[3, index], others[3, index], strict=True):
            torch.testing.assert_close(view.image, same.image, rtol=0, atol=0)
            torch.testing.assert_close(view.boxes, same.boxes, rtol=0, atol=0)
    first, second = scenes[0, 0]
    assert not torch.equal(first.image, second.image)
    assert not torch.equal(first.image, scenes[1, 0][0].image)
    assert not torch.equal(first.image, PersonSearchDataset(annotations, RRC2, seed=2)[0, 0][0].image)
    torch.testing.assert_close(first.image, scenes[0][0].image, rtol=0, atol=0)


def test_views_do_not_share_memory(tmp_path: Path) -> None:
    """Memory is used again between views; what was handed out must stay."""
    scenes = PersonSearchDataset(make_annotations(tmp_path), WRS, seed=0)
    view = scenes[0][0].image
    before = view.clone()
    for index in range(len(scenes)):
        scenes[index]
    assert torch.equal(view, before)


def test_a_image_is_decoded_once_for_all_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = count_reads(monkeypatch)
    views = PersonSearchDataset(make_annotations(tmp_path), replace(RRC2, num_views=5), seed=0)[0]
    assert (len(views), len(reads)) == (5, 1)


def test_a_scene_without_boxes_is_a_pure_negative(tmp_path: Path) -> None:
    for augmentation in (WRS, RRC2):
        for view in PersonSearchDataset(make_annotations(tmp_path), augmentation, seed=0)[3]:
            assert view.boxes.shape == (0, 4)
            assert view.person.shape == view.identity.shape == (0,)


def test_a_bad_image_is_named(tmp_path: Path) -> None:
    annotations = make_annotations(tmp_path)
    (tmp_path / "2.jpg").write_bytes((tmp_path / "2.jpg").read_bytes()[:-50])
    scenes = PersonSearchDataset(annotations, RRC2, seed=0)
    with pytest.raises(UserError, match=r"2\.jpg cannot be read"):
        scenes[2]
    wrong = PersonSearchDataset(replace(annotations, sizes=np.full((7, 2), 80)), RRC2, seed=0)
    with pytest.raises(UserError, match=r"0\.jpg is 96 x 64 pixels, its annotations say 80 x 80"):
        wrong[0]


@pytest.mark.parametrize("megabytes", [0, 1])
def test_kept_images_give_the_same_views_and_are_not_read_again(
    megabytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = make_annotations(tmp_path)
    plain, kept = (
        PersonSearchDataset(annotations, RRC2, seed=1),
        PersonSearchDataset(annotations, RRC2, seed=1, cache_mb=megabytes),
    )
    reads = count_reads(monkeypatch)
    for epoch in range(6):
        for view, same in zip(plain[epoch, 0], kept[epoch, 0], strict=True):
            assert torch.equal(view.image, same.image)
    again = len(reads) - 6  # the plain one reads each time
    assert again == 6 if megabytes == 0 else 1 <= again < 6


def test_images_are_kept_while_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotations = make_annotations(tmp_path)
    scenes = PersonSearchDataset(annotations, WRS, seed=0, cache_mb=1)
    reads: list[int] = []

    def read(path: Path, size: tuple[int, int], reduction: int) -> tuple[npt.NDArray[np.uint8], int]:
        reads.append(1)
        return np.zeros((size[1], size[0], 3), np.uint8), 1

    monkeypatch.setattr(dataset_module, "read_image", read)
    scenes._room = annotations.sizes[0].prod().item() * 3  # room for one image
    for _ in range(3):
        scenes[0]
        scenes[1]
    assert len(reads) == 4
