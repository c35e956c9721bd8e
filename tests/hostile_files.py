"""Checkpoints, weights and configurations made to harm: each kind by its name."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

GLOBALS = b"torch._utils\n_rebuild_tensor_v2\n"

ANOTHER_CHECKSUM = '{"config": {}, "pathway": "object", "sha256": "0"}'


class Call:
    """Pickled, it is a call of a function, whatever it is."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.function, self.arguments


def saved(content: object, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as made:
        for name, content in members:
            made.writestr(name, content)
    return stream.getvalue()


def pickled(*parts: bytes) -> bytes:
    """An archive as of `torch.save` around a pickle by hand."""
    body = b"\x80\x02" + b"".join(parts) + b"."
    return archive(("a/data.pkl", body), ("a/version", b"3\n"), ("a/byteorder", b"little"))


def number(value: int) -> bytes:
    """Pickled."""
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def text(value: str) -> bytes:
    """Pickled."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def tensor(size: int, stride: int, elements: int) -> bytes:
    """Pickled: one that claims a size, of a storage that claims to have so many elements."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(elements) + b"tQ"
    rest = b"K\x00" + number(size) + b"\x85" + number(stride) + b"\x85" + b"\x89" + b"ccollections\nOrderedDict\n)R"
    return b"c" + GLOBALS + b"(" + storage + rest + b"tR"


def with_storage(whole: bytes, size: int = 4) -> bytes:
    stream = io.BytesIO(whole)
    with zipfile.ZipFile(stream, "a") as made:
        made.writestr("a/data/0", bytes(size))
    return stream.getvalue()


def table(name: str, value: bytes) -> bytes:
    """Pickled: {"state_dict": {name: value}}."""
    return b"}" + text("state_dict") + b"}" + text(name) + value + b"ss"


def overlapping() -> bytes:
    """An archive whose thousand members are all the same megabyte."""
    whole = bytearray(archive(("a/data.pkl", b"}."), ("a/data/0", bytes(2**20))))
    end = whole.rindex(b"PK\x05\x06")
    (start,) = struct.unpack("<I", whole[end + 16 : end + 20])
    second = whole.index(b"PK\x01\x02", start + 4)
    entry, entries = bytes(whole[second:end]), b""
    for row in range(1000):
        entries += entry.replace(b"a/data/0", b"a/%6.6d" % row)
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1001, 1001, second - start + len(entries), start, 0)
    return bytes(whole[:second]) + entries + tail


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(content) if length is None else length) + content + data


def claims(shape: list[int], end: int, kind: str = "F32") -> dict[str, object]:
    """A header with one tensor."""
    return {"weight": {"dtype": kind, "shape": shape, "data_offsets": [0, end]}}


def of_ours(**changes: Any) -> dict[str, object]:
    """A header with our configuration inside, but for some keys."""
    from miniature import make_config
    from spnet.config.io import to_plain

    config = to_plain(make_config())
    for key, value in changes.items():
        group, _, name = key.rpartition("__")
        (config[group] if group else config)[name] = value
    return {"__metadata__": {"spnet": json.dumps({"config": config, "pathway": "object"})}} | claims([1], 4)


@cache
def pickles(canary: Path) -> dict[str, bytes]:
    """Files of `torch.save`, or that look like it; executed, they would make `canary`."""
    touch = Call(os.system, f"touch {canary}")
    fine = {"state_dict": {"weight": torch.zeros(3)}}
    whole = saved(fine)
    old: dict[str, Any] = {"_use_new_zipfile_serialization": False}
    return {
        "call": saved(touch),
        "call in a table": saved(fine | {"further": touch}),
        "call as a key's value, nested": saved({"state_dict": {"a": [({"b": touch},)]}}),
        "call of eval": saved({"state_dict": Call(eval, f"open({str(canary)!r}, 'w')")}),
        "call of exec": saved(Call(exec, f"open({str(canary)!r}, 'w')")),
        "call of a method": saved(Call(Path.touch, canary)),
        "call of getattr": saved(Call(getattr, Path, "touch")),
        "call of an import": saved(Call(__import__, "antigravity")),
        "call of torch.load": saved(Call(torch.load, str(canary))),
        "call of torch.hub": saved(Call(torch.hub.load, str(canary), "model")),
        "call, legacy format": saved(touch, **old),
        "call in a table, legacy format": saved(fine | {"further": touch}, **old),
        "call, bare pickle": pickle.dumps(touch),
        "call, protocol 0": pickle.dumps(touch, 0),
        "call, protocol 5": pickle.dumps(touch, 5),
        "a whole module": saved(torch.nn.Linear(2, 2)),
        "byte array": pickled(table("a", b"cbuiltins\nbytearray\n" + number(2**36) + b"\x85R")),
        "byte array, old name": pickled(table("a", b"c__builtin__\nbytearray\n" + number(2**36) + b"\x85R")),
        "byte array, bare": b"\x80\x02c__builtin__\nbytearray\n" + number(2**36) + b"\x85R.",
        "tensor of any size": with_storage(pickled(table("a", tensor(2**40, 0, 1)))),
        "tensor beyond its storage": with_storage(pickled(table("a", tensor(2**40, 1, 1)))),
        "storage of any size": with_storage(pickled(table("a", tensor(1, 1, 2**45)))),
        "tensor of negative size": with_storage(pickled(table("a", tensor(-5, 1, 1)))),
        "missing storage": pickled(table("a", tensor(1, 1, 1))),
        "compressed": archive(("a/data.pkl", b"}."), ("a/data/0", bytes(2**26)), method=zipfile.ZIP_DEFLATED),
        "compressed pickle": archive(("a/data.pkl", b"N" * 2**26 + b"."), method=zipfile.ZIP_DEFLATED),
        "overlapping members": overlapping(),
        "empty archive": archive(),
        "archive of something else": archive(("mimetype", b"application/epub+zip")),
        "TorchScript": archive(("a/data.pkl", b"}."), ("a/constants.pkl", b")."), ("a/code/x.py", b"import os")),
        "stack of nothing": pickled(b"0" * 50),
        "memo of nothing": pickled(b"h\x50"),
        "deep": pickled(b"]" * 10_000 + b"a" * 9_999),
        "no table": saved([1, 2, 3]),
        "no tensors": saved({"state_dict": "all of it"}),
        "numbers as names": saved({7: torch.zeros(3)}),
        "truncated": whole[: len(whole) // 2],
        "tail only": whole[len(whole) // 2 :],
        "empty": b"",
        "wrong magic": b"PK\x03\x04" + b"\xff" * 400,
        "zeros": bytes(4096),
        "text": b"#!/bin/sh\ntouch canary\n",
    }


def tensors_files() -> dict[str, bytes]:
    """Safetensors files, or what looks like it."""
    return {
        "header beyond the file": safetensors(claims([1], 4), bytes(4), length=2**62),
        "header of 99 MB": safetensors(claims([1], 4), bytes(4), length=99_000_000),
        "tensor beyond the file": safetensors(claims([2**40], 2**42), bytes(4)),
        "shape that overflows": safetensors(claims([2**40, 2**40, 2**40], 4), bytes(4)),
        "shape of another size": safetensors(claims([3], 4), bytes(4)),
        "negative shape": safetensors(claims([-1], 4), bytes(4)),
        "unknown type": safetensors(claims([1], 4, "F33"), bytes(4)),
        "a type torch lacks": safetensors(claims([8], 4, "F4"), bytes(4)),
        "deep header": safetensors(b"[" * 100_000),
        "not JSON": safetensors(b"{'weight': __import__('os')}"),
        "no configuration": safetensors(claims([1], 4), bytes(4)),
        "deep configuration": safetensors({"__metadata__": {"spnet": "[" * 100_000}} | claims([1], 4), bytes(4)),
        "other keys": safetensors(of_ours(command="touch canary"), bytes(4)),
        "absurd width": safetensors(of_ours(location_dim=10**9, reid_dim=10**9), bytes(4)),
        "large width": safetensors(of_ours(location_dim=2**16, reid_dim=2**16), bytes(4)),
        "absurd cascade": safetensors(of_ours(cascade_steps=10**9, heads="separate"), bytes(4)),
        "absurd depth": safetensors(of_ours(backbone__model_kwargs={"depths": [10**9] * 4}), bytes(4)),
        "absurd stages": safetensors(of_ours(backbone__model_kwargs={"dims": [10**9] * 4}), bytes(4)),
        "large stages": safetensors(of_ours(backbone__model_kwargs={"dims": [2**16] * 4}), bytes(4)),
        "a model from elsewhere": safetensors(of_ours(backbone__name="hf-hub:somebody/model"), bytes(4)),
        "a model from a folder": safetensors(of_ours(backbone__name="local-dir:."), bytes(4)),
        "a pickle as an option": safetensors(of_ours(backbone__model_kwargs={"checkpoint_path": "trap.pth"}), bytes(4)),
        "weights from elsewhere": safetensors(
            of_ours(backbone__model_kwargs={"pretrained_cfg": {"url": "x"}}), bytes(4)
        ),
        "another checksum": safetensors(of_ours() | {"__metadata__": {"spnet": ANOTHER_CHECKSUM}}, bytes(4)),
    }


def configurations(canary: Path) -> dict[str, str]:
    """YAML files; executed or expanded, they would make `canary`, or gigabytes."""
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{row}: &a{row} [{', '.join([f'*a{row - 1}'] * 9)}]\n" for row in range(1, 12)
    )
    return {
        "tag of a call": f"seed: !!python/object/apply:os.system ['touch {canary}']\n",
        "tag of an object": "model: !!python/object/new:pathlib.Path [x]\n",
        "tag of a module": "!!python/module:antigravity\n",
        "tag of a name": "seed: !!python/name:os.system\n",
        "a billion laughs": laughs,
        "an alias of itself": "model: &a {backbone: *a}\n",
        "deep": "[" * 20_000,
        "deep table": "{a: " * 20_000,
        "a long number": f"seed: {'9' * 10_000}\n",
        "a date that is none": "seed: 2020-99-99\n",
        "a list": "[1, 2]\n",
        "two documents": "seed: 1\n---\nseed: 2\n",
        "no text": "\x00\x01\x02",
        "a model from elsewhere": "model: {backbone: {name: 'hf-hub:somebody/model', weights: none}}\n",
        "a pickle as an option": "model: {backbone: {model_kwargs: {checkpoint_path: trap.pth}, weights: none}}\n",
    }
