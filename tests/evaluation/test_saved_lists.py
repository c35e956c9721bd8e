"""Detections of other code bases: every way of saving them gives the same arrays, and nothing of them is executed."""

import io
import json
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hostile_files import Call, pickled, pickles, tensor, text, with_storage
from spnet.cli.main import main
from spnet.data.schema import Annotations, read_annotations
from spnet.errors import UserError
from spnet.evaluation.arrays import write_arrays
from spnet.evaluation.protocols import read_protocols
from spnet.evaluation.saved_lists import parse_keys, read_detections
from spnet.evaluation.saved_objects import as_array, as_list, read_saved

Lists = dict[str, list[Any]]
DIMS = 6


@pytest.fixture(scope="module")
def annotations(small_data: Path) -> Annotations:
    return read_annotations(small_data / "annotations" / "test.json")


@pytest.fixture(scope="module")
def protocols(small_data: Path) -> Path:
    return small_data / "retrieval" / "test.json"


@pytest.fixture(scope="module")
def lists(annotations: Annotations, protocols: Path) -> Lists:
    """As SeqNet caches them: the annotated boxes, with noise, and one image without any."""
    random = np.random.default_rng(0)
    (protocol,) = read_protocols(protocols).values()
    directions = {int(person): random.standard_normal(DIMS) for person in annotations.person_ids}
    boxes, features = [], []
    for scene in range(len(annotations.scene_ids)):
        rows = np.flatnonzero(annotations.box_scene == scene) if scene != 1 else np.empty(0, np.int64)
        near = annotations.boxes[rows] + random.integers(-1, 2, (len(rows), 4))
        boxes.append(np.column_stack([near, random.uniform(0.5, 1, len(rows))]).astype(np.float32).reshape(-1, 5))
        persons = [
            directions[int(person)] + 0.5 * random.standard_normal(DIMS) for person in annotations.person_ids[rows]
        ]
        features.append(np.array(persons, np.float32).reshape(-1, DIMS))
    people = dict(zip(annotations.box_ids.tolist(), annotations.person_ids.tolist(), strict=True))
    queries = [directions[people[query]].astype(np.float32) for query in protocol.queries.tolist()]
    return {"gallery_dets": boxes, "gallery_feats": features, "query_box_feats": queries}


def as_torch_file(content: object, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def as_tensors(lists: Lists) -> dict[str, list[torch.Tensor]]:
    return {name: [torch.from_numpy(part) for part in parts] for name, parts in lists.items()}


FORMS: dict[str, Callable[[Lists], bytes]] = {
    "a.pkl": lambda lists: pickle.dumps(lists),
    "oldest.pkl": lambda lists: pickle.dumps(lists, 0),
    "old.pkl": lambda lists: pickle.dumps(lists, 2),
    "newest.pickle": lambda lists: pickle.dumps(lists, 5),
    "cache.pth": as_torch_file,
    "legacy.pth": lambda lists: as_torch_file(lists, _use_new_zipfile_serialization=False),
    "tensors.pt": lambda lists: as_torch_file(as_tensors(lists)),
    "a.json": lambda lists: json.dumps(
        {name: [part.tolist() for part in parts] for name, parts in lists.items()}
    ).encode(),
    "objects.pkl": lambda lists: pickle.dumps(
        {**lists, "gallery_dets": np.array(lists["gallery_dets"] + [None], object)[:-1]}
    ),
    "fortran.pkl": lambda lists: pickle.dumps(
        {**lists, "gallery_feats": list(map(np.asfortranarray, lists["gallery_feats"]))}
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_arrays(
    name: str, lists: Lists, annotations: Annotations, protocols: Path, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(FORMS[name](lists))
    (protocol,) = read_protocols(protocols).values()
    arrays, _ = read_detections(file, annotations, protocol.queries, {})
    counts = [len(part) for part in lists["gallery_dets"]]
    assert arrays.det_image.tolist() == np.repeat(annotations.scene_ids, counts).tolist()
    np.testing.assert_allclose(
        np.column_stack([arrays.det_box, arrays.det_score]), np.concatenate(lists["gallery_dets"])
    )
    np.testing.assert_allclose(arrays.det_emb, np.concatenate(lists["gallery_feats"]), rtol=1e-6)
    rows = [annotations.box_ids.tolist().index(query) for query in protocol.queries]
    np.testing.assert_allclose(arrays.gt_emb[rows], np.stack(lists["query_box_feats"]), rtol=1e-6)


def test_the_command_scores_them_as_the_same_detections_file(
    lists: Lists, annotations: Annotations, protocols: Path, small_data: Path, tmp_path: Path
) -> None:
    names = annotations.file_names
    order = np.random.default_rng(1).permutation(len(names))
    parts: list[list[Any]] = [
        [parts[row] for row in order] for parts in (lists["gallery_dets"], lists["gallery_feats"])
    ]
    scores = np.random.default_rng(2).random((len(lists["query_box_feats"]), len(names)), np.float32)
    torch.save([*parts, lists["query_box_feats"], scores[:, order]], tmp_path / "mine.pth")
    (tmp_path / "order.txt").write_text("\n".join(names[row] for row in order))
    command = ["score", str(tmp_path / "mine.pth"), "--protocols", str(protocols), "--data", str(small_data)]
    keys = ["gallery_dets=0", "gallery_feats=1", "query_box_feats=2", "gallery_filter=3"]
    options = ["--keys", *keys, "--image-names", str(tmp_path / "order.txt")]
    reranking = ["--rerank", "k-reciprocal:k1=4", "--rerank", "cbgm", "--rerank", "gallery-filter"]
    assert main([*command, *options, *reranking, "--output", str(tmp_path / "lists.json")]) == 0
    (tmp_path / "in_order.pkl").write_bytes(pickle.dumps(lists))
    (protocol,) = read_protocols(protocols).values()
    arrays, _ = read_detections(tmp_path / "in_order.pkl", annotations, protocol.queries, {})
    write_arrays(tmp_path / "same.npz", arrays)
    with np.load(tmp_path / "same.npz") as content:
        np.savez(tmp_path / "same.npz", **content, filter_query=protocol.queries, filter_score=scores)
    command = ["score", str(tmp_path / "same.npz"), "--protocols", str(protocols)]
    assert main([*command, *reranking, "--output", str(tmp_path / "arrays.json")]) == 0
    ours, same = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("lists", "arrays"))
    settings = {"detected", "detected_confidence_weighted", "detected_k_reciprocal", "detected_cbgm"}
    settings |= {"detected_gallery_filter", "detection"}
    assert set(ours["protocols"]["test"]) == settings | {"per_query"}
    assert all(ours["protocols"]["test"][name] == same["protocols"]["test"][name] for name in settings)
    assert ours["protocols"]["test"]["detected"]["mAP"] > 0.5
    assert ours["rerankings"]["detected_k_reciprocal"]["k1"] == 4


def changed(name: str, change: Callable[[list[Any]], Any]) -> Callable[[Lists], object]:
    """The lists with one of them changed."""
    return lambda lists: {**lists, name: change(lists[name])}


BOXES, FEATURES, QUERIES = "gallery_dets", "gallery_feats", "query_box_feats"
MISTAKES: dict[str, tuple[Callable[[Lists], object], str]] = {
    "no table": (lambda lists: 7, "it holds int, not a table or a list"),
    "a key is missing": (lambda lists: {BOXES: lists[BOXES]}, "it has no 'gallery_feats' for gallery_feats"),
    "no list": (changed(BOXES, lambda parts: 3), "gallery_dets is int, not a list"),
    "an image is missing": (changed(BOXES, lambda parts: parts[1:]), "gallery_dets has .* entries, the split"),
    "features are missing": (changed(FEATURES, lambda parts: parts[1:]), "gallery_feats has .* entries, gallery_dets"),
    "a row too few": (
        changed(FEATURES, lambda parts: [parts[0][1:], *parts[1:]]),
        r"gallery_feats\[0\] has 1 rows, gallery_dets\[0\] 2",
    ),
    "no scores": (
        changed(BOXES, lambda parts: [part[:, :4] for part in parts]),
        r"gallery_dets\[0\] has 4 columns, expected 5",
    ),
    "flat": (
        changed(BOXES, lambda parts: [part.reshape(-1) for part in parts]),
        r"gallery_dets\[0\] has shape \(10,\)",
    ),
    "text": (changed(BOXES, lambda parts: ["x"] * len(parts)), r"gallery_dets\[0\]: it holds <U1, not numbers"),
    "a query is missing": (
        changed(QUERIES, lambda parts: parts[1:]),
        "query_box_feats has .* entries, but there are",
    ),
    "several embeddings a query": (
        changed(QUERIES, lambda parts: [np.ones((2, 3))] * len(parts)),
        r"query_box_feats\[0\] has shape \(2, 3\)",
    ),
    "another image": (
        lambda lists: {**lists, "gallery_names": ["x.jpg"] * len(lists[BOXES])},
        "gallery_names has 'x.jpg', which is no image",
    ),
    "not finite": (
        changed(FEATURES, lambda parts: [part * np.nan for part in parts]),
        r"det_emb\[0\] .* not finite",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name: str, lists: Lists, annotations: Annotations, protocols: Path, tmp_path: Path) -> None:
    change, message = MISTAKES[name]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(change(lists)))
    (protocol,) = read_protocols(protocols).values()
    with pytest.raises(UserError, match=f"a.pkl: {message}") as caught:
        read_detections(tmp_path / "a.pkl", annotations, protocol.queries, {})
    assert "\n" not in str(caught.value)


def test_options_that_do_not_go_together(
    lists: Lists, protocols: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(lists))
    command = ["score", str(tmp_path / "a.pkl"), "--protocols", str(protocols)]
    for options, message in (
        ([], "of lists, say which --data they are of"),
        (["--data", str(small_data), "--split", "x"], "has no split 'x'"),
        (["--data", str(small_data), "--keys", "boxes=a"], "--keys boxes=a: must be NAME=ITS_NAME_IN_THE_FILE"),
        (["--data", str(small_data), "--keys", "query_ids=a"], "it has no 'a' for query_ids"),
        (["--data", str(small_data), "--image-names", "none.txt"], "none.txt: cannot be read"),
        (["--data", str(small_data), "--rerank", "gallery-filter"], "there are no scores of a gallery filter"),
    ):
        assert main([*command, *options]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert parse_keys(["query_ids=a=b"]) == {"query_ids": "a=b"}


def test_another_order_is_doubted(
    lists: Lists, annotations: Annotations, protocols: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    far = [part + np.array([900, 900, 900, 900, 0], np.float32) for part in lists["gallery_dets"]]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({**lists, "gallery_dets": far}))
    (protocol,) = read_protocols(protocols).values()
    with caplog.at_level(logging.WARNING, "spnet"):
        read_detections(tmp_path / "a.pkl", annotations, protocol.queries, {})
    assert "only 0.0% of the annotated people are detected" in caplog.text


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_executed(protocol: int, tmp_path: Path) -> None:
    touch = Call(os.system, f"touch {tmp_path / 'canary'}")
    for content in (pickle.dumps({"gallery_dets": [touch]}, protocol), as_torch_file({"gallery_dets": touch})):
        (tmp_path / "a.pkl").write_bytes(content)
        assert "it names posix.system; only arrays" in kind_or_message(tmp_path / "a.pkl")
        assert not (tmp_path / "canary").exists()


def test_hostile_files_are_refused_in_one_line_or_are_plain_data(tmp_path: Path) -> None:
    file = tmp_path / "file.pth"
    for name, content in pickles(Path("/nonexistent/canary")).items():  # as in test_hostile_files.py, made once
        file.write_bytes(content)
        outcome = kind_or_message(file)
        assert outcome in ("dict", "list", "str", "tuple") or outcome.startswith(f"{file}: "), name
        assert "\n" not in outcome, name


def kind_or_message(file: Path) -> str:
    try:
        return type(read_saved(file)).__name__
    except UserError as error:
        return str(error)


FUNCTION = b"c_codecs\nencode\n"


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02" + FUNCTION + b"N}X\x0c\x00\x00\x00__defaults__N s\x86b.",  # sets an attribute of a function
        b"\x80\x04\x8c\x0cspnet.errors\x8c\x09UserError\x93.",
        b"\x80\x02cnumpy\ndtype\n(X\x01\x00\x00\x00OtR.",
        pickle.dumps(np.array([{}], object))[:-1] + b"0.",
        pickle.dumps({"a": Call(os.getcwd)}),
    ],
)
def test_pickles_by_hand_do_no_harm(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    try:
        found = read_saved(tmp_path / "a.pkl")
    except UserError:
        return
    with pytest.raises(UserError):
        as_array(found)


def test_arrays_that_claim_more_than_they_hold(tmp_path: Path) -> None:
    whole = pickle.dumps(np.zeros(3, np.float32), 2)
    claims = whole.replace(b"K\x03\x85", b"J\x00\x00\x00\x40\x85")
    assert claims != whole
    (tmp_path / "a.pkl").write_bytes(claims)
    with pytest.raises(UserError, match="cannot reshape"):
        read_saved(tmp_path / "a.pkl")
    repeated = with_storage(pickled(b"}", text("a"), tensor(2**40, 0, 1), b"s"))
    (tmp_path / "a.pth").write_bytes(repeated)
    with pytest.raises(UserError, match="repeats its 1 numbers"):
        read_saved(tmp_path / "a.pth")


def test_numbers_and_lists() -> None:
    assert as_list((1, 2)) == [1, 2]
    assert as_list("text") is None
    with pytest.raises(UserError, match="different lengths"):
        as_array([[1, 2], [3]])
