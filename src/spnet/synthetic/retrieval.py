"""Who is searched for in the synthetic test scenes, and where."""

from collections import defaultdict

import numpy as np

from spnet.data.schema import PersonRecord, ProtocolRecord, Split

_SMALL_GALLERY = 50  # scenes for a query of protocol G50, as in CUHK-SYSU
_LEGIBLE = 60.0  # pixels a query should be tall


def protocols_of(split: Split, random: np.random.Generator) -> dict[str, ProtocolRecord]:
    """`test`: all scenes for each query. `G50`: 50, with all of the person's. `cross_camera`: those of other cameras.

    One query a known person, a box at least _LEGIBLE tall if there is one.
    """
    scenes = [image["id"] for image in split.images]
    camera = {image["id"]: image["cam_id"] for image in split.images}
    boxes: dict[int, list[PersonRecord]] = defaultdict(list)
    for record in split.annotations:
        if record["is_known"]:
            boxes[record["person_id"]].append(record)
    small: dict[str, list[int]] = {}
    cross: dict[str, list[int]] = {}
    for records in boxes.values():
        tall = [record for record in records if record["bbox"][3] >= _LEGIBLE] or records
        query = tall[int(random.integers(len(tall)))]
        own_scene, key = query["image_id"], str(query["id"])
        met = [record["image_id"] for record in records if record["image_id"] != own_scene]
        others = [scene for scene in scenes if scene != own_scene and scene not in met]
        wanted = min(max(_SMALL_GALLERY - len(met), 0), len(others))
        small[key] = sorted(met + random.choice(others, wanted, replace=False).tolist())
        cross[key] = [scene for scene in scenes if camera[scene] != camera[own_scene]]
    queries = sorted(int(key) for key in small)
    return {
        "test": {"queries": queries, "images": scenes},
        "G50": {"queries": small, "images": scenes},
        "cross_camera": {"queries": cross, "images": scenes},
    }
