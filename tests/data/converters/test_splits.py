"""Train and val have no identity in common, miniature samples have somebody to search for, nothing is lost."""

from collections.abc import Callable

import numpy as np
import pytest

from spnet.data.converters.splits import add_validation, mini_split, split_by_identity
from spnet.data.schema import ProtocolRecord, Split, image_record, person_record


def make_split(persons_of_scene: list[list[int]], camera_count: int = 1) -> Split:
    """Scenes with the given known persons; a negative number is unknown."""
    split = Split([], [], "images")
    for scene, persons in enumerate(persons_of_scene):
        split.images.append(image_record(scene, f"{scene}.jpg", 100, 100, scene % camera_count))
        for place, person in enumerate(persons):
            box = (10 * place, 10, 8, 20)
            split.annotations.append(person_record(len(split.annotations), scene, box, abs(person), person > 0))
    return split


def disconnected(scenes: int = 200) -> Split:
    """As in CUHK-SYSU: persons in a few scenes each."""
    return make_split(
        [[1 + scene // 4, 1001 + scene % 50 // 2 + 100 * (scene // 50), -5000 - scene] for scene in range(scenes)]
    )


def entangled(scenes: int = 200) -> Split:
    """As in PRW: a few persons are nearly everywhere, and link all scenes."""
    chance = np.random.default_rng(0)
    return make_split([[1 + scene // 4, *(900 + chance.permutation(4)[:2]).tolist()] for scene in range(scenes)])


def known(split: Split) -> set[int]:
    return {record["person_id"] for record in split.annotations if record["is_known"]}


@pytest.mark.parametrize("make", [disconnected, entangled])
def test_no_person_is_in_both_parts(make: Callable[[], Split]) -> None:
    whole = make()
    parts = split_by_identity(whole, 10_000)
    assert parts is not None
    train, val, hidden = parts
    everybody = [{record["person_id"] for record in part.annotations} for part in (train, val)]
    assert not everybody[0] & everybody[1]
    assert sorted(image["id"] for image in train.images + val.images) == list(range(200))
    assert len(train.annotations) + len(val.annotations) == len(whole.annotations)
    assert 10 <= len(val.images) <= 20
    assert len(known(val)) >= 3
    assert sum(not record["is_known"] for record in val.annotations) >= hidden.total()


def test_only_people_of_both_parts_become_unknown() -> None:
    apart, mixed = split_by_identity(disconnected(), 10_000), split_by_identity(entangled(), 10_000)
    assert apart is not None
    assert mixed is not None
    assert apart[2] == {}
    train, val, hidden = mixed
    assert hidden
    assert set(hidden) <= known(train) - known(val)
    assert hidden.total() == sum(record["person_id"] >= 10_000 for record in val.annotations)
    assert known(train) | known(val) == known(entangled())


def test_the_whole_part_is_not_changed() -> None:
    whole = entangled()
    before = [record.copy() for record in whole.annotations]
    split_by_identity(whole, 10_000)
    assert whole.annotations == before


def test_validation_is_added_with_somebody_to_search_for() -> None:
    splits = {"trainval": disconnected(), "test": disconnected(8)}
    protocols: dict[str, ProtocolRecord] = {}
    assert add_validation(splits, protocols) == []
    assert list(splits) == ["trainval", "test", "train", "val", "train_mini", "val_mini"]
    for name in ("val", "val_mini"):
        inside = {record["id"]: record for record in splits[name].annotations}
        assert protocols[name]["images"] == [image["id"] for image in splits[name].images]
        for query in map(int, protocols[name]["queries"]):
            same = [r for r in inside.values() if r["person_id"] == inside[query]["person_id"]]
            assert len({record["image_id"] for record in same}) >= 2


def test_samples_are_small_and_whole() -> None:
    whole = entangled(400)
    small = mini_split(whole)
    assert 100 <= len(small.images) < 104
    inside = {image["id"] for image in small.images}
    assert small.annotations == [record for record in whole.annotations if record["image_id"] in inside]


def test_too_small_a_part_is_said() -> None:
    splits = {"trainval": make_split([[1], [1]])}
    protocols: dict[str, ProtocolRecord] = {}
    assert "too small" in add_validation(splits, protocols)[0]
    assert list(splits) == ["trainval"]
    assert protocols == {}


def test_one_query_a_camera() -> None:
    splits = {"trainval": make_split([[1 + scene // 8] for scene in range(160)], camera_count=4)}
    protocols: dict[str, ProtocolRecord] = {}
    add_validation(splits, protocols)
    camera = {image["id"]: image["cam_id"] for image in splits["val"].images}
    box = {record["id"]: record for record in splits["val"].annotations}
    views = [
        (box[query]["person_id"], camera[box[query]["image_id"]]) for query in map(int, protocols["val"]["queries"])
    ]
    assert len(set(views)) == len(views) == 4 * len(known(splits["val"]))
