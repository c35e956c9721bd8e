"""The report page of evaluated models: metrics, loss curves, searches and detections in one HTML file.

Everything is inside the file: images as JPEG data, curves as SVG, no script. So it opens from disk and can be sent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spnet.evaluation.arrays import confident_detections
from spnet.evaluation.detection import mutually_best
from spnet.evaluation.overlaps import scene_overlaps
from spnet.files import write_bytes
from spnet.reports.context import MEANINGS, ReportContext
from spnet.reports.curves import plot_curves
from spnet.reports.images import BoxOverlay, SceneImage, SceneReader
from spnet.reports.ranking import RankedQuery, evenly_by_value, rank_queries

NUM_QUERIES = 8
NUM_RANKS = 8
NUM_SCENES = 6
IOU = 0.5

TEMPLATES = Environment(
    loader=PackageLoader("spnet.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Search:
    """One query and its ranking as images."""

    place: int  # among all queries by AP, from 1
    average_precisions: Sequence[float]  # of every model
    ranked: RankedQuery
    person: int
    query: SceneImage
    detections: Sequence[SceneImage]


@dataclass(frozen=True)
class DetectedScene:
    """One scene with all its boxes."""

    image: SceneImage
    num_annotated: int
    num_found: int
    num_false: int


def write_report_page(path: Path, context: ReportContext) -> None:
    """Write the page atomically.

    Raises UserError where an image cannot be read, the detections are of other scenes than the annotations, or the
    file cannot be written.
    """
    write_bytes(path, render_page(context).encode())


def render_page(context: ReportContext) -> str:
    """Render the page as HTML. Raises UserError as `write_report_page` does."""
    panels = [panel for panel in context.panels if any(len(curve.steps) for curve in panel.curves.values())]
    reader = SceneReader(context.annotations)
    return TEMPLATES.get_template("report.html").render(
        title=context.title,
        lead=context.lead,
        facts=context.facts,
        context=context,
        meanings=MEANINGS,
        metrics=[model.metrics(context.protocol_name) for model in context.models],
        curves=[(panel.title, Markup(plot_curves(panel))) for panel in panels],
        searches=list(searches(context, reader)),
        scenes=list(detected_scenes(context, reader)),
    )


def searches(context: ReportContext, reader: SceneReader) -> Iterator[Search]:
    """Yield searches of the first model, from the best to the worst, evenly over all queries by their AP."""
    shown, name = context.models[0], context.protocol_name
    precisions = np.stack([model.report.searches[name]["detected"].average_precisions for model in context.models])
    queries = evenly_by_value(precisions[0], NUM_QUERIES)
    threshold = shown.report.score_threshold
    rankings = rank_queries(shown.arrays, context.protocol, queries, NUM_RANKS, shown.report.mode, threshold)
    for query, ranked in zip(queries.tolist(), rankings, strict=True):
        scene, box = int(shown.arrays.gt_image[ranked.query_box]), shown.arrays.gt_box[ranked.query_box]
        yield Search(
            place=int((precisions[0] > precisions[0, query]).sum()) + 1,
            average_precisions=precisions[:, query].tolist(),
            ranked=ranked,
            person=int(shown.arrays.gt_person[ranked.query_box]),
            query=reader.crop(scene, BoxOverlay(box, "query")),
            detections=[
                reader.crop(scene, BoxOverlay(box, "right" if hit else "wrong"))
                for scene, box, hit in zip(ranked.image.tolist(), ranked.box, ranked.is_match, strict=True)
            ],
        )


def detected_scenes(context: ReportContext, reader: SceneReader) -> Iterator[DetectedScene]:
    """Yield scenes with annotated people, evenly spaced over the split, with the first model's detections."""
    shown = context.models[0]
    arrays = confident_detections(shown.arrays, shown.report.score_threshold)
    overlaps = scene_overlaps(arrays)
    matches = mutually_best(overlaps.select(overlaps.iou >= IOU))
    with_people = context.annotations.scene_ids[np.unique(context.annotations.box_scene)]
    count = min(NUM_SCENES, len(with_people))
    chosen = with_people[((np.arange(count) + 0.5) * len(with_people) / count).astype(np.int64)]
    for scene in chosen.tolist():
        annotated, detected = np.flatnonzero(arrays.gt_image == scene), np.flatnonzero(arrays.det_image == scene)
        found, right = np.isin(annotated, matches.box), np.isin(detected, matches.detection)
        overlays = [
            BoxOverlay(box, "annotated" if hit else "missed", f"person {person}")
            for box, hit, person in zip(arrays.gt_box[annotated], found, arrays.gt_person[annotated], strict=True)
        ] + [
            BoxOverlay(box, "right" if hit else "wrong", f"score {score:.2f}")
            for box, hit, score in zip(arrays.det_box[detected], right, arrays.det_score[detected], strict=True)
        ]
        yield DetectedScene(reader.whole(scene, overlays), len(annotated), int(found.sum()), int((~right).sum()))
