"""The subsets of a miniature COCO are the released draws: those of `expected.json` where a folder has one."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from cases import case_name, find_cases

from spnet.data.converters.cocopersons import prepare_cocopersons

CASES = [path.parent.parent for path in find_cases("coco*/**/annotations/instances_train2017.json")]
# a subset may stand under another spelling of its name
SPELLINGS = {"_": "", "-": "", " ": "", "/": "", ".json": "", "2017": "", "cocopersons": ""}


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_subsets_are_the_released_draws(case: Path) -> None:
    if not (case / "expected.json").exists():
        pytest.skip("this parity folder has no expected.json")
    ours = {_plain(name): split for name, split in prepare_cocopersons(case).splits.items()}
    expected = _subsets(json.loads((case / "expected.json").read_text()))
    assert expected
    for name, (images, annotations) in expected.items():
        split = ours.get(name)
        assert sorted(record["id"] for record in split.images) == images if split else not images, name
        assert sorted(record["id"] for record in split.annotations) == annotations if split else not annotations, name


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


def _plain(name: str) -> str:
    for old, new in SPELLINGS.items():
        name = name.replace(old, new)
    return name.lower()


def _subsets(document: Any, prefix: str = "") -> dict[str, tuple[list[int], list[int]]]:
    """{subset: (image ids, annotation ids)}, from however deep they stand in the document."""
    found = {}
    for name, value in document.items():
        plain = prefix + _plain(name)
        if isinstance(value, dict) and "images" in value:
            annotations = value.get("annotations", value.get("annots", value.get("boxes")))
            found[plain] = (_ids(value["images"]), _ids(annotations))
        elif isinstance(value, dict):
            found.update(_subsets(value, plain))
    return found


def _ids(values: list[Any]) -> list[int]:
    return sorted(value["id"] if isinstance(value, dict) else value for value in values)
