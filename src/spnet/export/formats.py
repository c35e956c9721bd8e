"""A traced graph as the bytes of a file, and such bytes as a function again."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch.export import ExportedProgram

from spnet.config.io import to_plain
from spnet.errors import UserError
from spnet.export.graph import INPUTS, OUTPUTS
from spnet.extras import import_extra
from spnet.inference.export_info import METADATA_KEY, ExportInfo
from spnet.inference.onnx_searcher import OnnxModel

FormatName = Literal["onnx", "torch"]
Runner = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]  # inputs by name -> outputs by name
OPSET = 20
NOISY = ("onnx_ir", "onnxscript", "torch.onnx", "torch.export")
ENDINGS: dict[FormatName, str] = {"onnx": ".onnx", "torch": ".pt2"}


def check_format_available(name: FormatName) -> None:
    """Raise UserError with the command that installs it for a package that a format needs."""
    for package in ("onnx", "onnxscript", "onnxruntime") if name == "onnx" else ():
        import_extra(package)


def to_bytes(program: ExportedProgram, info: ExportInfo, name: FormatName) -> bytes:
    """The content of the file. Raises UserError where this version of PyTorch cannot write it."""
    with _quiet():
        if name == "torch":
            stream = io.BytesIO()
            torch.export.save(program, stream, extra_files={f"{METADATA_KEY}.json": json.dumps(to_plain(info))})
            return stream.getvalue()
        try:
            return _to_onnx(program, info)
        except torch.onnx.OnnxExporterError as error:  # 2.10 knows no loop
            raise UserError(f"--format onnx: PyTorch {torch.__version__} cannot write the graph; 2.14 can") from error


def runner(content: bytes, info: ExportInfo, name: FormatName) -> Runner:
    """What such content computes."""
    if name == "onnx":
        return OnnxModel(content, "the exported graph").run
    with _quiet():
        module = torch.export.load(io.BytesIO(content)).module()

    def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with torch.no_grad():
            values = module(*(inputs[name] for name in INPUTS[info.pathway]))
        return dict(zip(OUTPUTS[info.pathway], values, strict=True))

    return run


def _to_onnx(program: ExportedProgram, info: ExportInfo) -> bytes:
    names = INPUTS[info.pathway]
    exported: Any = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=list(names),
        output_names=list(OUTPUTS[info.pathway]),
        dynamic_shapes=tuple(name and {0: name} for name in names.values()),
        custom_translation_table={torch.ops.aten.sort.stable: _stable_sort},
    )
    for node in exported.model.graph.all_nodes():
        node.metadata_props.clear()  # where in the code it comes from
    exported.model.metadata_props[METADATA_KEY] = json.dumps(to_plain(info))
    content: bytes = exported.model_proto.SerializeToString()
    return content


def _stable_sort(self: Any, *, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
    """`aten::sort.stable`, which torch.onnx lacks: of equal values ONNX's TopK takes the first one first."""
    op = import_extra("onnxscript").opset20
    count = op.Reshape(op.Gather(op.Shape(self), op.Constant(value_int=dim), axis=0), op.Constant(value_ints=[1]))
    return op.TopK(self, count, axis=dim, largest=int(descending), sorted=1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters say of their own inside."""
    levels = {logger: logger.level for logger in map(logging.getLogger, NOISY)}
    for logger in levels:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
