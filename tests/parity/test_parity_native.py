"""The miniature releases of PRW and CUHK-SYSU convert to exactly what the authors' conversion gave."""

import json
from pathlib import Path
from typing import Any

import pytest
from cases import case_name, find_cases

from spnet.data.converters.cuhk_sysu import prepare_cuhk_sysu
from spnet.data.converters.prw import prepare_prw
from spnet.data.schema import write_dataset

CONVERTERS = {"prw": prepare_prw, "cuhk_sysu": prepare_cuhk_sysu}
CASES = [path.parent for path in find_cases("native*/**/expected/*/retrieval.json")]
BOX_FIELDS = ("id", "image_id", "bbox", "area", "person_id", "is_known", "iou_thresh", "category_id", "iscrowd")
IMAGE_FIELDS = ("id", "file_name", "width", "height", "cam_id")


@pytest.mark.parametrize("expected", CASES, ids=case_name)
def test_release_converts_as_the_authors_did(expected: Path, tmp_path: Path) -> None:
    prepared = CONVERTERS[expected.name](expected.parent.parent)
    write_dataset(tmp_path / "out", prepared.splits, prepared.protocols)
    for split in ("trainval", "test"):
        ours, theirs = _load(tmp_path / "out" / "annotations" / f"{split}.json"), _load(expected / f"{split}.json")
        assert _columns(ours["images"], IMAGE_FIELDS) == _columns(theirs["images"], IMAGE_FIELDS)
        assert _columns(ours["annotations"], BOX_FIELDS) == _columns(theirs["annotations"], BOX_FIELDS)
    for name, theirs in _load(expected / "retrieval.json").items():
        assert _load(tmp_path / "out" / "retrieval" / f"{name}.json") == theirs, name


def _load(path: Path) -> Any:
    return json.loads(path.read_text())


def _columns(records: list[dict[str, Any]], fields: tuple[str, ...]) -> list[list[Any]]:
    return [[record[field] for field in fields] for record in records]
