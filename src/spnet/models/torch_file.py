"""Loads files of `torch.save` that anybody may have written: nothing in them is executed, nothing in them fills memory.

`weights_only=True` calls no foreign function. Beyond that a file may claim more than it holds: a compressed archive, a
byte array or a tensor of any size in a few bytes. `torch.save` writes none of these.
"""

import io
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import torch
from torch import Tensor

LARGEST_TENSOR = 2**28  # elements; 1 GiB in float32, twice the largest queue of persons that is of use
BYTE_ARRAY = b"\nbytearray\n"  # the one builtin that weights_only calls with a size


def load_torch_file(stream: BinaryIO) -> Any:
    """The content of a file of `torch.save`, on the CPU.

    Raises:
        ValueError: whatever is wrong with the file, in one line.
    """
    try:
        if zipfile.is_zipfile(stream):
            _check_archive(zipfile.ZipFile(stream), stream.seek(0, io.SEEK_END))
        else:  # as files were before 2020, those of torchvision among them
            _check_pickle(stream)
        stream.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle's protocol
            content = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise whatever their parser met
        reason = next(iter(str(error).splitlines()), "")
        raise ValueError(f"{type(error).__name__}: {reason[:200]}") from error
    if any(tensor.numel() > LARGEST_TENSOR for tensor in _tensors(content)):
        raise ValueError(f"a tensor of more than {LARGEST_TENSOR} elements")
    return content


def _check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Raise ValueError for what `torch.save` does not write: compressed members, or more bytes than the file has."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its archive is compressed")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its archive claims to hold more than the file has")
    for member in members:
        if member.filename.endswith("data.pkl"):
            _check_pickle(io.BytesIO(archive.read(member)))


def _check_pickle(stream: BinaryIO) -> None:
    stream.seek(0)
    last = b""
    while block := stream.read(2**20):
        if BYTE_ARRAY in last + block:
            raise ValueError("it makes a byte array")
        last = block[-len(BYTE_ARRAY) :]


def _tensors(content: Any) -> Iterator[Tensor]:
    """Every tensor in nested tables and lists, each table once."""
    seen: set[int] = set()
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, (dict, list, tuple)) and id(one) not in seen:
            seen.add(id(one))
            waiting.extend(one.values() if isinstance(one, dict) else one)
