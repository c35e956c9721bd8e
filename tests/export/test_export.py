"""`spnet export --format onnx`: what the file computes, says about itself, and is good for; and what is refused."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from footage import render
from marked_blocks import marked_blocks
from miniature import make_batch
from spnet import Gallery, Searcher
from spnet.cli.main import main
from spnet.errors import UserError
from spnet.export import export
from spnet.export.check import Differences, compare
from spnet.export.export import export_network
from spnet.export.graph import ExportableDetector
from spnet.inference.export_info import network_fingerprint
from spnet.inference.images import ImageLike, fit_window
from spnet.inference.onnx_searcher import OnnxModel
from spnet.inference.searcher import Boxes
from spnet.models.checkpoints import load_network
from spnet.runs.record import file_digest

WINDOW = (64, 96)  # that of the network
ROOT = Path(__file__).parents[2]
GUIDE = "export.md"
EXAMPLE = ROOT / "examples" / "onnx_search.py"


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("stills") / "street.png"
    Image.fromarray(render(0.5, seed=1)).save(file)
    return file


@pytest.fixture(scope="module")
def guide(weights: Path, still: Path, preloaded: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder where the commands of the guide were run, and what they printed."""
    folder = tmp_path_factory.mktemp("exported")
    (block,) = marked_blocks(ROOT / "docs" / GUIDE)
    code = block.code.replace("runs/mine", str(weights)).replace("examples/", f"{ROOT}/examples/")
    code = code.replace("query.jpg 120 80 180 260 stills", f"{still} 5 6 30 60 {still.parent}")
    return folder, replace(block, code=code).run(folder, preloaded)


@pytest.fixture(scope="module")
def exported(guide: tuple[Path, str]) -> Path:
    """An ONNX file; not to be changed."""
    return guide[0] / "network.onnx"


def with_metadata(exported: Path, file: Path, **changes: Any) -> Path:
    """A copy that says something else about itself."""
    model = onnx.load(exported)
    (entry,) = (entry for entry in model.metadata_props if entry.key == "spnet")
    entry.value = json.dumps(json.loads(entry.value) | changes)
    onnx.save(model, file)
    return file


def test_the_guide_exports_and_searches(guide: tuple[Path, str]) -> None:
    exported, compared, *ranked = guide[1].splitlines()
    assert exported == "network.onnx: custom, object-centric, images of 64 x 96 pixels"
    assert compared.startswith("beside PyTorch: boxes ")
    assert float(ranked[0].split()[0]) == pytest.approx(1, abs=0.1)


def test_it_says_what_it_is(exported: Path, weights: Path) -> None:
    info = OnnxModel(exported, "file").info
    assert (info.preset, info.pathway, info.window) == ("custom", "object", WINDOW)
    assert info.fingerprint == file_digest(weights) == network_fingerprint(exported)
    assert (info.reid_dim, info.location_dim, info.score_threshold) == (8, 8, 0.0)


def test_it_names_no_place_of_the_machine_it_was_made_on(exported: Path) -> None:
    content = exported.read_bytes()
    assert str(Path(export.__file__).parent).encode() not in content
    assert b"site-packages" not in content


@pytest.mark.parametrize("scenes", [1, 2, 3])
@pytest.mark.parametrize("given", [0, 1, 5])
@torch.no_grad()
def test_it_computes_what_pytorch_does_for_any_batch(exported: Path, weights: Path, scenes: int, given: int) -> None:
    batch = make_batch(scenes=scenes)
    sizes = batch.sizes - torch.tensor([[9, 17]]) * torch.arange(scenes)[:, None]
    boxes = torch.tensor([[5.0, 6, 30, 60]]).expand(given, 4) + torch.arange(given)[:, None]
    inputs = {
        "images": batch.images,
        "sizes": sizes,
        "score_threshold": torch.tensor(0.3),
        "given_boxes": torch.cat([torch.full((given, 1), scenes - 1.0), boxes], 1),
    }
    found = OnnxModel(exported, "file").run(inputs)
    values = ExportableDetector(load_network(weights), WINDOW)(*inputs.values())
    differences = compare(found, dict(zip(found, values, strict=True)))
    assert differences.acceptable, differences
    assert differences.unmatched == 0
    assert len(found["given_embeddings"]) == given
    assert found["scores"].min() > 0.3


def test_a_searcher_of_it_finds_what_the_network_finds(exported: Path, weights: Path, still: Path) -> None:
    """Of images of the window's shape, which both resize alike."""
    images: list[ImageLike] = [still, render(1.0), render(2.0, seed=2)]
    query = [5.0, 6, 30, 60]
    boxes: list[Boxes] = [[query], [], [[10, 10, 40, 50], [3, 3, 60, 60]]]
    ours, theirs = Searcher.load(exported, batch_size=2), Searcher.load(weights)
    assert (ours.reid_dim, ours.window) == (theirs.reid_dim, theirs.window)
    for one, other in zip(ours.detect(images), theirs.detect(images), strict=True):
        torch.testing.assert_close(one.boxes, other.boxes, atol=0.05, rtol=0)
        torch.testing.assert_close(one.embeddings, other.embeddings, atol=1e-3, rtol=1e-3)
        assert len(one.boxes)
    for own, true in zip(ours.embed(images, boxes), theirs.embed(images, boxes), strict=True):
        torch.testing.assert_close(own, true, atol=1e-3, rtol=1e-3)
    (found,), (expected,) = (searcher.find(images, [(still, query)]) for searcher in (ours, theirs))
    torch.testing.assert_close(found.similarity, expected.similarity, atol=1e-3, rtol=0)
    with pytest.raises(UserError, match="an exported file cannot do this; name the run it was made from"):
        ours.find(images, [(still, query)], "query")


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (640, 480), (30, 200), (200, 30), (5, 5)])
def test_any_image_fits_the_window(size: tuple[int, int]) -> None:
    for window in ((64, 96), (96, 64), (50, 50)):
        batch = fit_window([np.full((*size, 3), 255, np.uint8)], window, antialias=True)
        height, width = batch.sizes[0].tolist()
        assert batch.images.shape == (1, 3, *window)
        assert height == window[0] or width == window[1]
        assert batch.images[0, :, :height, :width].all()
        assert int(batch.images.bool().sum()) == 3 * height * width
        assert batch.scales[0].tolist() == pytest.approx([width / size[1], height / size[0]])


def test_index_detect_and_search_run_on_it(
    exported: Path, weights: Path, video: Path, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what it has indexed, the network itself searches."""
    index = str(tmp_path / "people.index")
    assert main(["index", str(video), "--weights", str(exported), "--index", index, "--fps", "2"]) == 0
    assert "indexed 1 files, 8 images" in capsys.readouterr().out
    search = ["search", index, "--query", str(still), "--box", "5", "6", "30", "60", "--json"]
    hits = []
    for network in ([], ["--weights", str(weights)]):
        assert main([*search, *network]) == 0
        hits.append([hit["similarity"] for hit in json.loads(capsys.readouterr().out)])
    assert hits[0] == pytest.approx(hits[1], abs=1e-3)
    assert hits[0]
    output = str(tmp_path / "detected")
    assert main(["detect", str(still), "--weights", str(exported), "--output", output]) == 0
    assert " people in 1 images" in capsys.readouterr().out


def test_the_example_needs_no_torch(exported: Path, still: Path) -> None:
    lines = (
        "import sys, runpy",
        "for name in ('torch', 'spnet'): sys.modules[name] = None",
        f"sys.argv[1:] = {[str(exported), str(still), '5', '6', '30', '60', str(still.parent)]!r}",
        f"runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    similarities = [float(line.split()[0]) for line in ended.stdout.splitlines()]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities


def test_an_index_of_another_window_is_refused(exported: Path, still: Path, tmp_path: Path) -> None:
    index = tmp_path / "people.index"
    Gallery.open(index, exported, create=True).add(still)
    Gallery.open(index).store.set_about(window=[128, 192])
    gallery = Gallery.open(index, exported)
    with pytest.raises(UserError, match=r"made from images within 128 x 192 pixels, but .* takes 64 x 96; export it "):
        gallery.add(still)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "pathway": ({"pathway": "query"}, "exported for queries that are known; .*export --pathway object"),
    "window": ({"window": [64, 128]}, r"made for a window of \(64, 128\) but takes images of \[64, 96\]"),
    "version": ({"reid_dim": "wide"}, "reid_dim is .wide.: should be a valid integer"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_file_of_another_kind_is_refused(
    name: str, exported: Path, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, message = MISTAKES[name]
    file = with_metadata(exported, tmp_path / "other.onnx", **changes)
    assert main(["detect", str(still), "--weights", str(file), "--output", str(tmp_path / "d")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    with pytest.raises(UserError, match=message):
        raise UserError(said)


def test_a_file_of_others_or_none_is_refused(exported: Path, tmp_path: Path) -> None:
    model = onnx.load(exported)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    (tmp_path / "half.onnx").write_bytes(exported.read_bytes()[:20_000])
    with pytest.raises(UserError, match="an ONNX file that `spnet export` has not written"):
        Searcher.load(tmp_path / "foreign.onnx")
    with pytest.raises(UserError, match="no ONNX file that can be read"):
        Searcher.load(tmp_path / "half.onnx")
    with pytest.raises(UserError, match="no such file"):
        Searcher.load(tmp_path / "none.onnx")


def test_a_graph_that_differs_is_not_kept(
    exported: Path,
    other_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The graph of one network for the weights of another."""
    monkeypatch.setattr(export, "trace", lambda network, pathway, window: None)
    monkeypatch.setattr(export, "to_bytes", lambda program, info, name: exported.read_bytes())
    assert main(["export", str(other_weights), "--output", str(tmp_path / "network.onnx")]) == 2
    said = capsys.readouterr().err
    assert "network.onnx: not written, it differs from PyTorch: boxes" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("package", "format_name"), [("onnxscript", "onnx"), ("onnxruntime", "onnx")])
def test_mistakes_are_said_before_the_work(
    package: str, format_name: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "network.onnx"
    with pytest.raises(UserError, match="--window 16 64: both sides must have 32 pixels or more"):
        export_network(weights, file, window=(16, 64))
    file.touch()
    with pytest.raises(UserError, match="exists; choose another file"):
        export_network(weights, file)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package} is not installed: pip install 'spnet\[onnx\]'"):
        export_network(weights, tmp_path / "other.onnx")


def table(*rows: tuple[list[float], float, int, list[float]]) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.tensor([row[0] for row in rows]).reshape(-1, 4),
        "scores": torch.tensor([row[1] for row in rows]),
        "scene": torch.tensor([row[2] for row in rows], dtype=torch.int64),
        "embeddings": torch.tensor([row[3] for row in rows]).reshape(-1, 2),
    }


FIRST, SECOND = ([1.0, 2, 30, 40], 0.9, 0, [1.0, 0.0]), ([50.0, 2, 80, 40], 0.8, 1, [0.0, 1.0])


def test_differences_are_those_of_the_same_detections_in_any_order() -> None:
    moved = ([1.0, 2.25, 30, 40], 0.75, 0, [1.0, 1.0])
    differences = compare(table(SECOND, moved), table(FIRST, SECOND))
    assert (differences.detections, differences.unmatched, differences.box) == (4, 0, 0.25)
    assert (differences.score, differences.cosine) == pytest.approx((0.15, 0.5**0.5))
    assert not differences.acceptable
    assert compare(table(SECOND, FIRST), table(FIRST, SECOND)).acceptable


def test_what_only_one_has_is_counted() -> None:
    elsewhere = (FIRST[0], 0.9, 1, [1.0, 0.0])
    assert compare(table(elsewhere, SECOND), table(FIRST, SECOND)).unmatched == 2
    assert compare(table(), table(FIRST, SECOND)) == Differences(2, 2)
    assert not compare(table(), table()).acceptable
    many = [([100.0 * row, 0, 50 + 100 * row, 50], 0.5, 0, [1.0, 0.0]) for row in range(100)]
    assert compare(table(*many[:-1]), table(*many)).acceptable
    assert not compare(table(*many[:-2]), table(*many)).acceptable


def test_nothing_that_is_not_a_number_is_accepted() -> None:
    broken = (FIRST[0], 0.9, 0, [float("nan"), 0.0])
    assert not compare(table(broken, SECOND), table(FIRST, SECOND)).acceptable
