"""The part of the report that shows whole scenes: everyone detected against everyone annotated."""

from html import escape

import numpy as np

from spnet.data.schema import Annotations
from spnet.evaluation.arrays import EvaluationArrays, confident_detections
from spnet.evaluation.detection import mutually_best
from spnet.evaluation.overlaps import scene_overlaps
from spnet.reports.context import Measured
from spnet.reports.images import Mark, SceneImages

SCENES = 6
LONGEST = 900  # pixels, of a scene's image
IOU = 0.5

LEGEND = (
    '<p class="legend"><span><i class="right"></i>detected, somebody annotated</span>'
    '<span><i class="wrong"></i>detected, nobody there (false alarm)</span>'
    '<span><i class="annotated"></i>annotated</span><span><i class="missed"></i>annotated, but missed</span></p>'
)


def scenes_section(annotations: Annotations, shown: Measured) -> str:
    """Evenly spaced scenes of a split with all boxes, as HTML.

    Raises UserError where an image cannot be read or the detections are of other scenes.
    """
    arrays = confident_detections(shown.arrays, shown.report.score_threshold)
    overlaps = scene_overlaps(arrays)
    matches = mutually_best(overlaps.select(overlaps.iou >= IOU))
    images = SceneImages(annotations)
    peopled = annotations.scene_ids[np.unique(annotations.box_scene)]
    count = min(SCENES, len(peopled))
    chosen = peopled[((np.arange(count) + 0.5) * len(peopled) / count).astype(np.int64)]
    figures = "".join(_scene(scene, arrays, matches.box, matches.detection, images) for scene in chosen.tolist())
    rule = (
        f"{count} scenes, evenly spaced over the split. Shown: {shown.name}, every box with a score of "
        f"{shown.report.score_threshold:g} or more; scores show under the mouse."
    )
    return (
        f'<section><h2>Detections</h2><p class="soft">{escape(rule)}</p>{LEGEND}'
        f'<div class="scenes">{figures}</div></section>'
    )


def _scene(scene: int, arrays: EvaluationArrays, found: np.ndarray, finding: np.ndarray, images: SceneImages) -> str:
    annotated, detected = np.flatnonzero(arrays.gt_image == scene), np.flatnonzero(arrays.det_image == scene)
    is_found, is_right = np.isin(annotated, found), np.isin(detected, finding)
    marks = [
        Mark(box, "annotated" if hit else "missed", f"person {person}")
        for box, hit, person in zip(arrays.gt_box[annotated], is_found, arrays.gt_person[annotated], strict=True)
    ] + [
        Mark(box, "right" if hit else "wrong", f"score {score:.2f}")
        for box, hit, score in zip(arrays.det_box[detected], is_right, arrays.det_score[detected], strict=True)
    ]
    counts = f"{is_found.sum()} of {len(annotated)} found, {(~is_right).sum()} false alarms"
    image = images.draw(scene, None, marks, LONGEST, counts)
    return f"<figure>{image}<figcaption>{escape(images.name(scene))}: {counts}</figcaption></figure>"
