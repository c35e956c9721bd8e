"""Retrieval protocols: read, refused, resolved, cut to a size."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.protocols import Protocol, limit_galleries, read_protocols, resolve_protocol

PERSONS = [(50, 1, 7), (51, 1, 8), (52, 2, 7), (53, 4, 7), (54, 9, 8)]  # annotation, scene, person


@pytest.fixture
def arrays() -> EvaluationArrays:
    annotation, scene, person = np.array(PERSONS).T
    return EvaluationArrays(
        image_ids=np.array([9, 1, 2, 3, 4, 5]),
        gt_image=scene,
        gt_box=np.tile([0.0, 0, 10, 10], (5, 1)),
        gt_person=person,
        gt_annotation=annotation,
        gt_iou_thresh=np.full(5, 0.5),
        gt_emb=np.ones((5, 2)),
        det_image=np.empty(0, int),
        det_box=np.empty((0, 4)),
        det_score=np.empty(0),
        det_emb=np.empty((0, 2)),
    )


def written(folder: Path, content: Any) -> Path:
    path = folder / "test.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_three_forms_are_read(tmp_path: Path) -> None:
    content = {
        "listed": {"queries": [50, 51], "images": [1, 2, 2]},
        "all": {"queries": [50], "images": "all"},
        "own": {"queries": {"51": [2, 3], "50": []}, "images": [1, 2, 3]},
    }
    protocols = read_protocols(written(tmp_path, content))
    assert protocols["listed"].images is not None
    assert protocols["listed"].images.tolist() == [1, 2, 2]
    assert protocols["all"].images is None
    assert protocols["all"].galleries is None
    assert protocols["own"].queries.tolist() == [51, 50]
    assert [scenes.tolist() for scenes in protocols["own"].galleries or ()] == [[2, 3], []]
    assert protocols["listed"].queries.tolist() == [50, 51]


def test_a_single_protocol_has_the_files_name(tmp_path: Path) -> None:
    assert list(read_protocols(written(tmp_path, {"queries": [50], "images": "all"}))) == ["test"]


MISTAKES = [
    ("[]", "not a file of protocols"),
    ("{}", "not a file of protocols"),
    ("{", "not JSON: line 1 column 2"),
    ("\xff", "not JSON: it is not text"),
    ('{"a": 3}', "protocol 'a': expected an object with 'queries'"),
    ('{"a": {"images": "all"}}', "protocol 'a': expected an object with 'queries'"),
    ('{"queries": [], "images": "all"}', "protocol 'test': it has no queries"),
    ('{"queries": [1, 1], "images": "all"}', "query 1 comes twice"),
    ('{"queries": {"1": [2], "1": [3]}, "images": "all"}', "'1' comes twice in one object"),
    ('{"queries": {"01": [2], "1": [3]}, "images": "all"}', "query 1 comes twice"),
    ('{"queries": ["x"], "images": "all"}', "queries: 'x' is not an id"),
    ('{"queries": [true], "images": "all"}', "queries: 'True' is not an id"),
    ('{"queries": [1.5], "images": "all"}', "queries: '1.5' is not an id"),
    ('{"queries": [99999999999999999999], "images": "all"}', "is not an id"),
    ('{"queries": {"x": [2]}, "images": "all"}', "queries: 'x' is not an id"),
    ('{"queries": {"1": "all"}, "images": "all"}', "the gallery of query 1: expected a list"),
    ('{"queries": {"1": [null]}, "images": "all"}', "the gallery of query 1: 'None' is not an id"),
    ('{"queries": [1], "images": "some"}', "images: expected a list of ids, got 'some'"),
    ('{"queries": 5, "images": "all"}', "queries: expected a list of ids"),
]


@pytest.mark.parametrize(("content", "message"), MISTAKES)
def test_mistakes_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "test.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        read_protocols(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_protocols(tmp_path / "none.json")


def test_unknown_ids_are_refused(arrays: EvaluationArrays) -> None:
    with pytest.raises(UserError, match=r"query 60 is the id of no annotation \(gt_annotation\)"):
        resolve_protocol(Protocol(np.array([50, 60])), arrays)
    with pytest.raises(UserError, match="images names scene 77, which is not in image_ids"):
        resolve_protocol(Protocol(np.array([50]), np.array([1, 77])), arrays)
    with pytest.raises(UserError, match="the gallery of query 51 names scene -1,"):
        resolve_protocol(Protocol(np.array([50, 51]), None, (np.array([1]), np.array([2, -1]))), arrays)


def test_rows_of_shared_and_own_galleries(arrays: EvaluationArrays) -> None:
    shared = resolve_protocol(Protocol(np.array([50, 52]), np.array([2, 9, 2])), arrays)
    assert shared.shared
    assert shared.query_box.tolist() == [0, 2]
    assert shared.own_scene.tolist() == [1, 2]
    assert shared.scenes.tolist() == [0, 2]
    assert shared.times_listed.tolist() == [1, 2]
    own = resolve_protocol(Protocol(np.array([50, 52]), None, (np.array([9]), np.array([5, 4]))), arrays)
    assert own.find(np.array([0, 0, 1, 1, 1]), np.array([0, 5, 0, 4, 5])).tolist() == [0, -1, -1, 1, 2]


def limited(arrays: EvaluationArrays, protocol: Protocol, size: int) -> list[list[int]]:
    return [scenes.tolist() for scenes in limit_galleries(protocol, arrays, size).galleries or ()]


def test_cut_galleries_keep_the_person_and_the_first_others(arrays: EvaluationArrays) -> None:
    everything = Protocol(np.array([50, 54]))  # scenes in order: 9 1 2 3 4 5
    assert limited(arrays, everything, 3) == [[9, 2, 4], [1, 2, 3]]
    assert limited(arrays, everything, 1) == [[2, 4], [1]]  # never without the person
    assert limited(arrays, everything, 100) == [[9, 2, 3, 4, 5], [1, 2, 3, 4, 5]]
    listed = Protocol(np.array([50]), None, (np.array([5, 3, 5, 2, 1, 2, 9]),))
    assert limited(arrays, listed, 2) == [[5, 5, 2, 2]]
