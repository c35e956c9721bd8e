"""The synthetic data set as a whole: what the files promise."""

import json
from collections import defaultdict
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from spnet.data.schema import (
    Annotations,
    Split,
    check_images_exist,
    image_record,
    person_record,
    read_annotations,
)
from spnet.errors import UserError
from spnet.synthetic import dataset, prepare_synthetic
from spnet.synthetic.camera import ImageArray
from spnet.synthetic.retrieval import protocols_of
from spnet.synthetic.scenario import TEST, TRAIN, fine_tuning_scenes, pretraining_scenes

SCENES, IDENTITIES, SEED = 14, 5, 3
SPLITS = ("train", "test", "pretrain")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("synthetic") / "data"
    prepare_synthetic(output, SCENES, IDENTITIES, SEED)
    return output


@pytest.fixture(scope="module")
def splits(folder: Path) -> dict[str, Annotations]:
    return {name: read_annotations(folder / "annotations" / f"{name}.json") for name in SPLITS}


def test_same_seed_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    prepare_synthetic(again, SCENES, IDENTITIES, SEED)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in files)
    assert len([name for name in files if name.suffix == ".jpg"]) == 2 * SCENES + SCENES // 2


def test_a_scene_depends_on_the_seed_and_not_on_how_many_scenes_there_are(folder: Path) -> None:
    images = {
        "train": fine_tuning_scenes(TRAIN, SCENES + 4, IDENTITIES, SEED),
        "test": fine_tuning_scenes(TEST, 2, IDENTITIES, SEED),
        "pretrain": pretraining_scenes(2, SEED),
    }
    for name, scenes in images.items():
        written = [path.read_bytes() for path in sorted((folder / "images" / name).iterdir(), key=number_of)[:2]]
        assert [dataset.encode(scene.rendered.image) for scene in islice(scenes, 2)] == written
    other = next(pretraining_scenes(1, SEED + 1)).rendered.image
    assert dataset.encode(other) != written[0]


def test_the_test_is_the_same_whatever_is_trained_on(folder: Path, tmp_path: Path) -> None:
    prepare_synthetic(tmp_path / "more", 30, 8, SEED, test_scenes=SCENES // 2, test_identities=IDENTITIES)
    few, many = (read_annotations(root / "annotations" / "test.json") for root in (folder, tmp_path / "more"))
    assert few.boxes.tolist() == many.boxes.tolist()
    for before, after in zip(sorted_images(folder), sorted_images(tmp_path / "more"), strict=True):
        assert before.read_bytes() == after.read_bytes()
    train = read_annotations(tmp_path / "more" / "annotations" / "train.json")
    assert not set(train.person_ids[train.is_known].tolist()) & set(many.person_ids[many.is_known].tolist())


def sorted_images(folder: Path) -> list[Path]:
    return sorted((folder / "images" / "test").iterdir(), key=number_of)


def number_of(path: Path) -> str:
    return path.stem.split("_")[1]


def test_images_exist_and_boxes_are_inside(splits: dict[str, Annotations]) -> None:
    for split in splits.values():
        check_images_exist(split)
        assert (split.boxes[:, :2] >= 0).all()
        assert (split.boxes[:, 2:] <= split.sizes[split.box_scene]).all()
        width, height = (split.boxes[:, 2:] - split.boxes[:, :2]).T
        assert height.min() > 10
        assert np.median(height / width) > 1.5
        image = cv2.imread(str(split.image_root / split.file_names[-1]))
        assert image is not None
        assert image.shape[1::-1] == tuple(split.sizes[-1])


def test_ids_are_unique_over_all_splits(splits: dict[str, Annotations]) -> None:
    for name in ("scene_ids", "box_ids"):
        numbers = np.concatenate([getattr(splits[split], name) for split in SPLITS])
        assert numbers.tolist() == list(range(len(numbers)))


def test_no_person_is_in_two_splits_and_unknown_ones_appear_once(splits: dict[str, Annotations]) -> None:
    persons = {name: set(split.person_ids.tolist()) for name, split in splits.items()}
    assert not persons["train"] & persons["test"]
    assert not persons["train"] & persons["pretrain"]
    assert not persons["test"] & persons["pretrain"]
    known = {name: set(splits[name].person_ids[splits[name].is_known].tolist()) for name in ("train", "test")}
    assert known == {"train": {1, 2, 3, 4, 5}, "test": {6, 7, 8, 9, 10}}
    for name in ("train", "test"):
        unknown = splits[name].person_ids[~splits[name].is_known]
        assert unknown.min() >= 5555
        assert len(np.unique(unknown)) == len(unknown) > 0
    assert splits["pretrain"].is_known.all()
    assert len(persons["pretrain"]) == len(splits["pretrain"].person_ids)


def test_known_people_come_back_in_several_scenes_of_several_cameras(splits: dict[str, Annotations]) -> None:
    for name in ("train", "test"):
        split = splits[name]
        appearances: dict[int, list[int]] = defaultdict(list)
        for person, scene in zip(split.person_ids[split.is_known], split.box_scene[split.is_known], strict=True):
            appearances[person].append(scene)
        for scenes in appearances.values():
            assert len(scenes) == len(set(scenes)) >= 3
            assert len(set(split.cameras[scenes])) >= 2


def test_pretraining_has_streets_of_its_own(splits: dict[str, Annotations]) -> None:
    assert set(splits["train"].cameras) == set(splits["test"].cameras) == {1, 2, 3, 4, 5, 6}
    assert set(splits["pretrain"].cameras) == {7, 8}


def test_fractions_of_the_pretraining_split(folder: Path, splits: dict[str, Annotations]) -> None:
    """As in COCOPersons (tests/data/prepare/test_coco_draws.py tests the draws)."""
    whole = splits["pretrain"]
    scenes, per_scene = np.unique(whole.box_scene, return_counts=True)
    shared = np.isin(whole.box_scene, scenes[per_scene >= 2])
    read = {percent: read_annotations(folder / f"annotations/p{percent}.json") for percent in range(20, 200, 20)}
    assert set(read[100].box_ids) == set(whole.box_ids[shared])
    for percent in range(20, 180, 20):
        smaller, larger = read[percent], read[percent + 20]
        assert set(smaller.box_ids) < set(larger.box_ids)
        assert smaller.file_names == larger.file_names
    for percent in (40, 60, 80):
        assert len(read[percent].boxes) == np.ceil(percent / 100 * shared.sum())
    for percent in (120, 140, 160, 180):
        assert len(read[percent].boxes) == shared.sum() + (percent - 100) // 20 * (shared.sum() // 5)
    wrong = ~np.isin(read[180].box_ids, whole.box_ids)
    taken = np.concatenate([numbers for split in splits.values() for numbers in (split.box_ids, split.person_ids)])
    assert not np.isin([read[180].box_ids[wrong], read[180].person_ids[wrong]], taken).any()
    assert (read[180].iou_thresholds == 0.5).all()
    check_images_exist(read[180])


def test_iou_thresholds_are_lower_for_small_boxes(splits: dict[str, Annotations]) -> None:
    width, height = (splits["train"].boxes[:, 2:] - splits["train"].boxes[:, :2]).T
    expected = np.minimum(0.5, width * height / ((width + 10) * (height + 10)))
    np.testing.assert_allclose(splits["train"].iou_thresholds, expected)
    assert (splits["pretrain"].iou_thresholds == 0.5).all()


def test_every_query_has_its_person_in_its_gallery(folder: Path, splits: dict[str, Annotations]) -> None:
    test = splits["test"]
    scenes, row = test.scene_ids.tolist(), {box: row for row, box in enumerate(test.box_ids.tolist())}
    protocols = {path.stem: json.loads(path.read_text()) for path in (folder / "retrieval").glob("*.json")}
    assert set(protocols) == {"test", "G50", "cross_camera"}
    assert protocols["test"]["images"] == scenes
    assert len(protocols["test"]["queries"]) == IDENTITIES
    for name in ("G50", "cross_camera"):
        queries = protocols[name]["queries"]
        assert sorted(map(int, queries)) == protocols["test"]["queries"]
        for query, gallery in queries.items():
            own = row[int(query)]
            with_person = set(test.scene_ids[test.box_scene[test.person_ids == test.person_ids[own]]].tolist())
            home = test.scene_ids[test.box_scene[own]]
            assert home not in gallery
            assert with_person & set(gallery)
            if name == "G50":
                assert with_person - {home} <= set(gallery)
            else:
                cameras = test.cameras[[scenes.index(scene) for scene in gallery]]
                assert test.cameras[test.box_scene[own]] not in cameras


def test_small_galleries_hold_fifty_scenes() -> None:
    split = Split([], [], "images")
    split.images.extend(image_record(image, "", 9, 9, image % 3) for image in range(90))
    for box, image in enumerate((4, 8, 60)):
        split.annotations.append(person_record(box, image, (0, 0, 30, 40 + 30 * box), 1))
    protocols = protocols_of(split, np.random.default_rng(0))
    queries = protocols["G50"]["queries"]
    assert isinstance(queries, dict)
    (gallery,) = queries.values()
    assert len(gallery) == len(set(gallery)) == 50
    assert protocols["test"]["queries"] != [0]  # 40 pixels are too few while there are taller boxes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((11, 4, 0), "--scenes 11: at least 12"),
        ((40, 17, 0), "--identities 17: with --scenes 40 it can be 4 to 16"),
        ((40, 3, 0), "--identities 3"),
        ((40, 6, -1), "--seed -1"),
        ((40, 6, 0, 5), "--test-scenes 5: at least 6"),
        ((40, 6, 0, 0), "--test-scenes 0: at least 6"),
        ((40, 6, 0, 10, 9), "--test-identities 9: with --test-scenes 10 it can be 4 to 8"),
        ((40, 6, 0, None, 17), "--test-identities 17: with --test-scenes 20 it can be 4 to 16"),
        ((400, 160, 0, 20), "--test-identities 160: with --test-scenes 20 it can be 4 to 16"),
    ],
)
def test_nonsense_is_refused_in_one_line(tmp_path: Path, arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        prepare_synthetic(tmp_path / "new", *arguments)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="already exists"):
        prepare_synthetic(tmp_path, 12, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[ImageArray] = []

    def encode(image: ImageArray) -> bytes:
        if len(encoded) == 2:
            raise KeyboardInterrupt
        encoded.append(image)
        return b"jpeg"

    monkeypatch.setattr(dataset, "encode", encode)
    with pytest.raises(KeyboardInterrupt):
        prepare_synthetic(tmp_path / "new", 12, 4)
    assert len(encoded) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_person_of_one_camera_is_refused() -> None:
    split = Split([image_record(image, "", 9, 9, camera) for image, camera in ((0, 1), (1, 1), (2, 2))], [], "")
    for box, (image, who) in enumerate(((0, 1), (2, 1), (0, 2), (1, 2))):
        split.annotations.append(person_record(box, image, (0, 0, 5, 5), who))
    for part, option in (("train", "--"), ("test", "--test-")):
        dataset.check_seen(part, split, [1])
        said = f"^{option}identities: person 2 of {part} is seen by 1 cameras; take more {option}scenes$"
        with pytest.raises(UserError, match=said):
            dataset.check_seen(part, split, [1, 2])
