"""The part of the report that shows searches: a query, and the people found most similar, right and wrong."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from spnet.data.schema import Annotations
from spnet.evaluation.protocols import Protocol
from spnet.reports.context import Measured
from spnet.reports.images import Mark, SceneImages, region_around
from spnet.reports.ranking import Ranked, evenly_by_value, rank_queries

QUERIES = 8
RANKS = 8
CROP_HEIGHT = 280  # pixels, at most

LEGEND = (
    '<p class="legend"><span><i class="query"></i>query</span><span><i class="right"></i>✓ the person, as scored</span>'
    '<span><i class="wrong"></i>✗ somebody else, nobody, a box that is off, or found twice</span></p>'
)


def searches_section(
    annotations: Annotations, protocol_name: str, protocol: Protocol, measured: Sequence[Measured]
) -> str:
    """Searches of the first of the networks as HTML; the others' AP stands beside.

    Raises UserError where an image cannot be read or the detections are of other scenes.
    """
    shown = measured[0]
    results = [(one.name, one.report.searches[protocol_name]["detected"].average_precisions) for one in measured]
    precisions = results[0][1]
    chosen = evenly_by_value(precisions, QUERIES)
    rankings = rank_queries(shown.arrays, protocol, chosen, RANKS, shown.report.mode, shown.report.score_threshold)
    images = SceneImages(annotations)
    blocks = []
    for query, ranked in zip(chosen.tolist(), rankings, strict=True):
        place = int((precisions > precisions[query]).sum()) + 1
        others = "".join(f" · {escape(name)}: AP {values[query]:.2f}" for name, values in results[1:])
        found = f"{ranked.is_match.sum()} of {ranked.wanted} in the first {len(ranked.score)}"
        said = f"place {place} of {len(precisions)} by AP · {found} · {ranked.gallery} gallery scenes{others}"
        blocks.append(_search(f"<h3><b>AP {precisions[query]:.2f}</b>{said}</h3>", shown, ranked, images))
    rule = (
        f"{len(chosen)} of {len(precisions)} queries, from the best to the worst, evenly over the list sorted by "
        f"average precision (AP); none was picked by hand. Shown: {shown.name}, most similar detections first."
    )
    return f'<section><h2>Searches</h2><p class="soft">{escape(rule)}</p>{LEGEND}{"".join(blocks)}</section>'


def _search(heading: str, shown: Measured, ranked: Ranked, images: SceneImages) -> str:
    scene, box = int(shown.arrays.gt_image[ranked.query_box]), shown.arrays.gt_box[ranked.query_box]
    person = int(shown.arrays.gt_person[ranked.query_box])
    query = _card("query", "query", scene, box, f"person {person}", images)
    cards = []
    for rank in range(len(ranked.score)):
        right = bool(ranked.is_match[rank])
        verdict = f"<span>{rank + 1}</span><span>{'✓ right' if right else '✗ wrong'}</span>"
        numbers = f"similarity <b>{ranked.similarity[rank]:.2f}</b><br>score {ranked.score[rank]:.2f}"
        place = (int(ranked.image[rank]), ranked.box[rank])
        cards.append(f"<li>{_card('right' if right else 'wrong', verdict, *place, numbers, images)}</li>")
    nobody = "" if cards else '<li class="note">nobody was detected in the gallery</li>'
    return f'<div class="search">{heading}{query}<ol class="ranking">{"".join(cards)}{nobody}</ol></div>'


def _card(kind: str, verdict: str, scene: int, box: np.ndarray, caption: str, images: SceneImages) -> str:
    name = images.name(scene)
    region = region_around(box, images.size(scene))
    image = images.draw(scene, region, [Mark(box, kind)], CROP_HEIGHT, f"{kind}: {name}")
    described = f'<figcaption title="{escape(name)}">{caption}<br>{escape(Path(name).name)}</figcaption>'
    return f'<figure class="card {kind}"><div class="verdict">{verdict}</div>{image}{described}</figure>'
