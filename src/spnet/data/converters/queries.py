"""Who is searched for where a release names no queries: persons seen in two scenes or more."""

from collections import defaultdict
from collections.abc import Sequence

from spnet.data.schema import PersonRecord, ProtocolRecord, Split


def search_protocol(split: Split, boxes_per_person: int = 1) -> ProtocolRecord:
    """Every scene is the gallery; each known person seen in two scenes or more gives evenly spaced boxes as queries.

    With cameras, as many boxes from each camera (PRW's queries: one box a person and camera).
    """
    camera_of = {image["id"]: image.get("cam_id", -1) for image in split.images}
    seen: dict[int, list[PersonRecord]] = defaultdict(list)
    for record in split.annotations:
        if record["is_known"]:
            seen[record["person_id"]].append(record)
    queries: list[int] = []
    for records in seen.values():
        if len({record["image_id"] for record in records}) < 2:
            continue
        by_camera: dict[int, list[int]] = defaultdict(list)
        for record in records:
            by_camera[camera_of[record["image_id"]]].append(record["id"])
        for ids in by_camera.values():
            queries.extend(_evenly_spaced(ids, boxes_per_person))
    return {"queries": sorted(queries), "images": [image["id"] for image in split.images]}


def _evenly_spaced(items: Sequence[int], count: int) -> list[int]:
    """`count` different items, or all if there are fewer, each from the middle of an equal part."""
    count = min(count, len(items))
    return [items[(2 * part + 1) * len(items) // (2 * count)] for part in range(count)]
