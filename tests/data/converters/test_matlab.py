"""MATLAB files: whole ones are read, compressed or not; damaged ones are refused and never crash the reader."""

import contextlib
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from releases import SOURCES, cells

from spnet.data.converters.matlab import reader as matlab
from spnet.data.converters.matlab.layout import check_mat
from spnet.data.converters.matlab.reader import stream_structs
from spnet.errors import UserError

FILES = sorted(SOURCES["cuhk-sysu"].rglob("*.mat")) + sorted(SOURCES["prw"].rglob("*.mat"))


def saved(compressed: bool = False, **variables: Any) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, do_compression=compressed)
    return stream.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_whole_files_pass(compressed: bool) -> None:
    for path in FILES:
        content = {key: value for key, value in scipy.io.loadmat(path).items() if not key.startswith("__")}
        check_mat(saved(compressed, **content))
    check_mat(saved(compressed, a=np.eye(3) + 1j, b="text", c=np.array(["ab", "cd"]), d={"x": 1}, e=np.array([True])))


def test_damage_never_gets_through_to_scipy() -> None:
    """Flipped bytes crash scipy's reader with a segmentation fault in one file of a few hundred."""
    chance = random.Random(0)
    for _ in range(3000):
        data = bytearray(chance.choice(FILES).read_bytes())
        for _ in range(chance.choice([1, 3, 20])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            check_mat(bytes(data))
        except ValueError:
            continue
        with contextlib.suppress(Exception):  # whatever scipy raises, read_mat turns into one line
            scipy.io.loadmat(io.BytesIO(bytes(data)))


def test_every_damaged_byte_of_a_compressed_file_is_found() -> None:
    data = saved(compressed=True, pool=cells(["s1.jpg", "s2.jpg"]))
    for place in range(128, len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        with pytest.raises(ValueError, match=r"\w"):
            check_mat(bytes(damaged))


def test_every_truncation_is_refused_or_has_no_variable(tmp_path: Path) -> None:
    data = saved(box_new=np.eye(5))
    for length in range(0, len(data), 7):
        (tmp_path / "cut.mat").write_bytes(data[:length])
        with pytest.raises(UserError, match=r"cut\.mat: (damaged|has no 'box_new')"):
            matlab.read_mat(tmp_path / "cut.mat", ["box_new"], "here")


@pytest.mark.parametrize(
    "value",
    [np.eye(2), cells([np.array([[1]])]), cells([cells([np.eye(1)])]), cells([7]), np.array(["a"]), None],
    ids=["numbers", "cell of a number", "cell of a cell", "cell of no array", "text", "nothing"],
)
def test_what_is_no_struct_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match=r"here.*: not "):
        matlab.structs(value, ["imname"], "here")


def test_a_missing_field_is_named() -> None:
    value = np.zeros((1, 1), [("imname", object), ("box", object)])
    assert len(matlab.structs(value, ["imname", "box"], "here")) == 1
    with pytest.raises(UserError, match="here: has no field 'idlocate', only imname, box"):
        matlab.structs(value, ["idlocate"], "here")


@pytest.mark.parametrize("value", [np.eye(2), np.array([]), np.array(["  "]), np.array(["a", "b"]), "a", None])
def test_what_is_no_name_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match="here: not a name"):
        matlab.text(value, "here")


@pytest.mark.parametrize(
    "value", [np.zeros(5), np.array(["a"] * 4), np.array([1, 2, np.inf, 4]), np.array([1, 2, -3, 4])]
)
def test_what_is_no_box_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match="here: "):
        matlab.box(value, "here")


def test_small_unsigned_numbers_become_a_box() -> None:
    assert matlab.box(np.array([[200, 250, 100, 90]], np.uint8), "here") == (200, 250, 100, 90)
    assert matlab.box(np.empty((1, 0)), "here") is None


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("file", ["train_test/TestG50.mat", "subset/Occlusion.mat"])
def test_a_stream_gives_what_scipy_reads_in_one_piece(file: str, compressed: bool, tmp_path: Path) -> None:
    content = scipy.io.loadmat(SOURCES["cuhk-sysu"] / "annotation" / "test" / file)
    key = next(key for key in content if not key.startswith("__"))
    (tmp_path / "all.mat").write_bytes(saved(compressed, other=np.eye(2), **{key: content[key]}))
    records = list(stream_structs(tmp_path / "all.mat", key, ["Query", "Gallery"], "here"))
    assert len(records) == content[key].size
    for record, whole in zip(records, content[key].flat, strict=True):
        for field in ("Query", "Gallery"):
            assert record[field].dtype == whole[field].dtype
            np.testing.assert_equal(record[field].tolist(), whole[field].tolist())


def test_a_stream_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(saved(numbers=np.eye(2), people={"name": "x"}))
    for key, message in (
        ("TestG50", "has no 'TestG50', only 'numbers', 'people'"),
        ("numbers", "'Query', only"),
        ("people", r"only \['name'\]"),
    ):
        with pytest.raises(UserError, match=message):
            list(stream_structs(tmp_path / "a.mat", key, ["Query"], "here"))
