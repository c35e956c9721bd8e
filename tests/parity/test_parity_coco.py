"""The subsets of a miniature COCO are the released draws: those of `expected.json` where a folder has one."""

import json
import math
from pathlib import Path

import pytest
from cases import case_name, find_cases

from spnet.data.converters.cocopersons import prepare_cocopersons

CASES = [path.parent.parent for path in find_cases("coco*/**/annotations/instances_train2017.json")]
EXPECTED = [case for case in CASES if (case / "expected.json").is_file()]


def released_name(split: str) -> str:
    """`train_p20` is our p20; `G10train` is G10's train part."""
    return f"train_{split}" if split.startswith("p") else split.replace("_", "")


@pytest.mark.parametrize("case", EXPECTED, ids=case_name)
def test_subsets_are_the_released_draws(case: Path) -> None:
    expected = json.loads((case / "expected.json").read_text())
    ours = {released_name(name): split for name, split in prepare_cocopersons(case).splits.items()}
    assert set(ours) <= set(expected)
    for name, content in expected.items():
        images, annotations = (sorted(content[key]) for key in ("images", "annotations"))
        split = ours.get(name)  # a subset that would be empty is not made
        assert sorted(record["id"] for record in split.images) == images if split else not images, name
        assert sorted(record["id"] for record in split.annotations) == annotations if split else not annotations, name


@pytest.mark.parametrize("case", EXPECTED, ids=case_name)
def test_wrong_boxes_are_the_released_ones(case: Path) -> None:
    expected = json.loads((case / "expected.json").read_text())
    ours = {released_name(name): split for name, split in prepare_cocopersons(case).splits.items()}
    for name in (name for name, content in expected.items() if "added" in content):
        records = {record["id"]: record for record in ours[name].annotations}
        for added in expected[name]["added"]:
            record = records[added["id"]]
            assert record["image_id"] == added["image_id"]
            assert record["bbox"] == pytest.approx(added["bbox"], rel=1e-6)


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_subsets_are_nested_and_of_the_stated_size(case: Path) -> None:
    splits = prepare_cocopersons(case).splits
    boxes = {name: {record["id"] for record in split.annotations} for name, split in splits.items()}
    whole = len(boxes["p100"])
    for percent in range(20, 180, 20):
        assert boxes[f"p{percent}"] < boxes[f"p{percent + 20}"]
    for percent in (20, 40, 60, 80):
        assert len(boxes[f"p{percent}"]) == math.ceil(percent / 100 * whole)
        assert len(splits[f"p{percent}"].images) == len(splits["p100"].images)
    for step, percent in enumerate((120, 140, 160, 180), 1):
        added = boxes[f"p{percent}"] - boxes["p100"]
        assert sorted(added) == list(range(300000, 300000 + step * int(0.2 * whole)))
