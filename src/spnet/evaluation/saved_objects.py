"""Reads what other code bases save, pickles and files of `torch.save` among it, without executing anything of it.

A pickle is a program: it names functions and calls them. Here only the names with which NumPy and torch write arrays
and tensors are known, and each stands for code of this module, which checks what it is given. So a file becomes lists,
tables, numbers, texts and arrays, or is refused.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from spnet.errors import UserError
from spnet.files import read_json

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # first object of a torch file of before 2020
_KINDS = "fiub"  # of arrays: floating-point numbers, integers, bool


def read_saved(path: Path) -> Any:
    """The content of a .json file, a pickle, or a file of `torch.save`: arrays and tensors as NumPy arrays.

    Raises UserError for a file that is missing, damaged, or holds anything but arrays and plain containers.
    """
    if path.suffix == ".json":
        return read_json(path)
    try:
        with path.open("rb") as stream:
            if zipfile.is_zipfile(stream):
                return _read_archive(zipfile.ZipFile(stream), stream.seek(0, io.SEEK_END))
            stream.seek(0)
            return _read_pickles(stream)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # unpickling raises whatever a broken file leads it to
        reason = next(iter(str(error).splitlines()), "")
        raise UserError(
            f"{path}: not a pickle or a file of torch.save: {type(error).__name__}: {reason[:200]}"
        ) from None


def as_array(value: object) -> npt.NDArray[Any]:
    """An array of what `read_saved` gives: an array itself, a number, or lists of numbers. Raises UserError."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise UserError("its rows have different lengths") from None
    if array.dtype.kind not in _KINDS:
        raise UserError(f"it holds {array.dtype}, not numbers")
    return array


def as_list(value: object) -> list[object] | None:
    """The members of a list, a tuple or an array; None for anything else."""
    if isinstance(value, _Array):
        value = value.value
    return list(value) if isinstance(value, list | tuple | np.ndarray) else None


def _read_archive(archive: zipfile.ZipFile, size: int) -> Any:
    """A file of torch.save since 2020: a pickle, and beside it the numbers of the tensors."""
    members = {member.filename: member for member in archive.infolist()}
    if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
        raise UserError("its archive is compressed, which torch.save does not do")
    if sum(member.file_size for member in members.values()) > size:
        raise UserError("its archive claims to hold more than the file has")
    programs = [name for name in members if name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise UserError("not a file of torch.save: it has no data.pkl")
    folder = programs[0].removesuffix("data.pkl")
    return _Unpickler(io.BytesIO(archive.read(programs[0])), lambda key: archive.read(f"{folder}data/{key}")).load()


def _read_pickles(stream: BinaryIO) -> Any:
    first = _Unpickler(stream).load()
    if first != LEGACY_MAGIC or isinstance(first, bool):
        return first
    _Unpickler(stream).load(), _Unpickler(stream).load()  # version of the format, sizes of integers
    return _Unpickler(stream).load()


class _Dtype:
    """Stands for numpy.dtype."""

    def __init__(self, name: object, *_: object) -> None:
        self.name, self.order = str(name), "="

    def __setstate__(self, state: Sequence[object]) -> None:
        self.order = str(state[1]) if str(state[1]) in "<>" else "="

    def checked(self) -> np.dtype[Any]:
        dtype = np.dtype(self.name).newbyteorder(self.order)  # type: ignore[arg-type]  # one of the three above
        if dtype.kind not in _KINDS:
            raise UserError(f"it holds an array of {self.name}, not of numbers")
        return dtype


class _Array:
    """Stands for numpy.ndarray, whose content comes after its making."""

    def __init__(self, *_: object) -> None:
        self.value: npt.NDArray[Any] | list[object] = np.empty(0)

    def __setstate__(self, state: tuple[object, Sequence[int], _Dtype, bool, Any]) -> None:
        _, shape, dtype, is_fortran, raw = state
        if dtype.name.lstrip("<>=|") in ("O", "O8") and isinstance(raw, list):
            self.value = raw  # an array of objects: arrays of unequal lengths
        else:
            self.value = _numbers(raw, dtype, shape, "F" if is_fortran else "C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.value, dtype)


def _numbers(raw: Any, dtype: _Dtype, shape: Any, order: str = "C") -> npt.NDArray[Any]:
    """An array of these bytes, if there are as many as its shape asks for."""
    content = raw.encode("latin1") if isinstance(raw, str) else raw
    if not isinstance(content, bytes | bytearray):
        raise UserError("an array has no bytes")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    numbers: npt.NDArray[Any] = np.frombuffer(content, dtype.checked())
    return numbers.reshape(sizes, order="F" if order == "F" else "C").copy()


def _scalar(dtype: _Dtype, raw: Any) -> object:
    return _numbers(raw, dtype, ())[()]


def _encode(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` is called for in pickles of protocol 2, which have no bytes."""
    if encoding != "latin1":
        raise UserError(f"it encodes text as {encoding}")
    return text.encode("latin1")


class _Call:
    """A function that a pickle can call, and do nothing else to."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise UserError("it changes a function")


class _Storage:
    """Stands for torch's storages: the numbers of a tensor."""

    def __init__(self, dtype: str, read: Callable[[str], bytes], key: str) -> None:
        self.numbers = np.frombuffer(read(key), dtype)


def _rebuild_tensor(
    storage: _Storage, offset: int, size: Sequence[int], stride: Sequence[int], *_: object
) -> npt.NDArray[Any]:
    """A tensor as an array; it must lie within its storage."""
    extent = 0 if 0 in size else 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min([offset, *size, *stride]) < 0 or offset + extent > len(storage.numbers):
        raise UserError(f"a tensor of size {tuple(size)} lies outside its {len(storage.numbers)} numbers")
    if int(np.prod(size, dtype=object)) > len(storage.numbers):
        raise UserError(f"a tensor of size {tuple(size)} repeats its {len(storage.numbers)} numbers")
    steps = [step * storage.numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage.numbers[offset:], tuple(size), steps, writeable=False).copy()


_STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip
_KNOWN: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _Call(_encode),
    **{(module, "bytes"): _Call(lambda: b"") for module in ("builtins", "__builtin__")},
    ("torch._utils", "_rebuild_tensor_v2"): _Call(_rebuild_tensor),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Call(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Call(_numbers) for core in ("core", "_core")},
    **{("torch", name): name for name in _STORAGES},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, read: Callable[[str], bytes] | None = None) -> None:
        super().__init__(stream, encoding="latin1")  # of Python 2
        self._read = read

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise UserError(f"it names {module}.{name}; only arrays, tensors and plain containers are read")
        return _KNOWN[module, name]

    def persistent_load(self, identifier: Any) -> _Storage:
        kind, name, key = identifier[:3]
        if kind != "storage" or name not in _STORAGES:
            raise UserError("it holds something beside the pickle that is no tensor")
        if self._read is None:
            raise UserError("its tensors are in torch's format of before 2020; load it and save it again")
        return _Storage(_STORAGES[name], self._read, str(key))
