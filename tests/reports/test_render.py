"""The report page as a reader gets it: whole, self-contained, and true to the evaluation."""

import base64
import io
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spnet.data.schema import Annotations, read_annotations
from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.extract import annotation_columns
from spnet.evaluation.protocols import Protocol, read_protocols
from spnet.evaluation.report import measure
from spnet.reports.context import EvaluatedModel, ReportContext
from spnet.reports.curves import LossCurve, LossPanel
from spnet.reports.render import render_page, write_report_page
from spnet.synthetic import prepare_synthetic

VOID = {"meta", "image", "rect", "path", "use", "br", "wbr"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "data"
    prepare_synthetic(folder, scenes=12, identities=4)
    return folder


def make_context(
    data: Path, detections: int | None = None, names: tuple[str, ...] = ("trained", "other")
) -> ReportContext:
    annotations = read_annotations(data / "annotations" / "test.json")
    protocol = read_protocols(data / "retrieval" / "test.json")["test"]
    models = []
    for seed, name in enumerate(names):
        arrays = make_arrays(annotations, seed, detections)
        models.append(EvaluatedModel(name, measure(arrays, {"test": protocol}), arrays))
    curve = LossCurve(np.arange(10, 100, 10), np.linspace(9, 1, 9))
    panels = [
        LossPanel("training", {"trained": curve}),
        LossPanel("nothing was logged", {"x": LossCurve(np.zeros(0, np.int64), np.zeros(0))}),
    ]
    return ReportContext(
        "<b>A & B</b>", "lead", annotations, "test", protocol, models, {"seed": "0"}, panels, "closing words"
    )


def make_arrays(annotations: Annotations, seed: int, detections: int | None) -> EvaluationArrays:
    """Somewhat wrong boxes of everyone, with somewhat wrong embeddings, cut to a number of detections."""
    random = np.random.default_rng(seed)
    shape = (len(annotations.boxes), 8)
    _, person = np.unique(annotations.person_ids, return_inverse=True)
    own = random.normal(size=shape)[person]
    columns = annotation_columns(annotations)
    detected = {
        "det_image": columns["gt_image"],
        "det_box": annotations.boxes + random.normal(size=(shape[0], 4)),
        "det_score": random.uniform(0.3, 1, shape[0]),
        "det_emb": (own + random.normal(size=shape)).astype(np.float32),
    }
    kept = {name: values[:detections] for name, values in detected.items()}
    return EvaluationArrays(**columns, gt_emb=own.astype(np.float32), **kept)


class Reader(HTMLParser):
    """Collects what a page refers to and checks that its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [str(value) for name, value in attrs if name.split(":")[-1] in ("src", "href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def test_page_is_well_formed_and_refers_to_nothing_outside(data: Path) -> None:
    page = render_page(make_context(data))
    reader = read(page)
    assert not reader.open
    assert len(reader.references) > 20
    assert all(reference.startswith(("data:image/jpeg;base64,", "#")) for reference in reader.references)
    assert not {"script", "link", "iframe", "img"} & set(reader.tags)
    assert not re.search(r"@import|url\((?!#)", page)


def test_images_are_those_of_the_scenes(data: Path) -> None:
    context = make_context(data)
    last = re.findall(r'href="data:image/jpeg;base64,([^"]+)"', render_page(context))[-1]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(last))), float)
    scenes = [Image.open(context.annotations.image_root / name) for name in context.annotations.file_names]
    difference = [np.abs(shown - np.asarray(scene, float)).mean() for scene in scenes]
    assert min(difference) < 6 < np.median(difference)


def test_right_and_wrong_are_marked_by_color_and_by_word(data: Path) -> None:
    page = render_page(make_context(data))
    for kind, word in (("right", "✓ right"), ("wrong", "✗ wrong")):
        cards = page.count(f'class="card {kind}"')
        assert cards == page.count(f"<span>{word}</span>") > 0
    assert page.count('class="card query"') == 4
    assert page.count('class="card right"') + page.count('class="card wrong"') == 4 * 8


def test_metrics_and_texts_are_on_the_page(data: Path) -> None:
    context = make_context(data)
    page = render_page(context)
    first, second = (model.metrics("test") for model in context.models)
    for name in first:
        assert f"{first[name]:.1%}" in page
        assert f"{100 * (first[name] - second[name]):+.1f} points" in page
    assert "&lt;b&gt;A &amp; B&lt;/b&gt;" in page
    assert "<b>A & B</b>" not in page
    assert "closing words" in page
    assert "nothing was logged" not in page


def test_one_network_is_compared_with_none(data: Path) -> None:
    page = render_page(make_context(data, names=("only",)))
    assert not read(page).open
    assert "points" not in page


def test_nobody_detected_is_said(data: Path) -> None:
    page = render_page(make_context(data, detections=0))
    assert not read(page).open
    assert page.count("nobody was detected") == 4
    assert "✗ wrong</span>" not in page


def test_detections_of_another_split_are_refused(data: Path) -> None:
    context = make_context(data)
    other = read_annotations(data / "annotations" / "train.json")
    with pytest.raises(UserError, match="is not in the annotations"):
        render_page(replace(context, annotations=other))


def test_a_missing_image_leaves_no_page(data: Path, tmp_path: Path) -> None:
    context = make_context(data)
    moved = replace(context, annotations=replace(context.annotations, image_root=tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"nowhere.*\.jpg"):
        write_report_page(tmp_path / "report.html", moved)
    assert list(tmp_path.iterdir()) == []


def test_page_is_written(data: Path, tmp_path: Path) -> None:
    write_report_page(tmp_path / "report.html", make_context(data))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_protocol_is_that_of_the_page(data: Path) -> None:
    context = make_context(data)
    one = Protocol(context.protocol.queries[:1])
    arrays = context.models[0].arrays
    model = EvaluatedModel("one", measure(arrays, {"single": one}), arrays)
    page = render_page(replace(context, protocol_name="single", protocol=one, models=[model]))
    assert page.count('class="card query"') == 1
    assert "protocol single: 1 queries" in page


def test_scenes_of_sequences_are_shown_with_their_paths(data: Path, tmp_path: Path) -> None:
    """Sequences number their frames alike, so a file's name alone says little."""
    context = make_context(data)
    names = tuple(f"seq<{row}>/{row % 2:06d}.jpg" for row in range(len(context.annotations.file_names)))
    for old, new in zip(context.annotations.file_names, names, strict=True):
        (tmp_path / new).parent.mkdir()
        shutil.copy(context.annotations.image_root / old, tmp_path / new)
    page = render_page(
        replace(context, annotations=replace(context.annotations, image_root=tmp_path, file_names=names))
    )
    reader = read(page)
    assert not reader.open
    shown = re.findall(r"seq&lt;(\d+)&gt;/<wbr>(\d{6})\.jpg", page)
    assert len(set(shown)) > len({frame for _, frame in shown}) == 2
    assert len(shown) == page.count("<figcaption>") - 1  # all but the caption of the curves
