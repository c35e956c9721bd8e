"""Divides a training part into train and val without a common identity, and cuts small samples for quick trials."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from spnet.data.converters.queries import search_protocol
from spnet.data.converters.summary import known_persons
from spnet.data.schema import ProtocolRecord, Split

Occurrences = npt.NDArray[np.int64]  # (M, 2) unique: row of the scene, number of the known person from 0; by scene
_VAL_SHARE = 0.1  # of the scenes
_MINI_SCENES = 100
_MINI_SCENES_PER_PERSON = 4


def add_validation(splits: dict[str, Split], protocols: dict[str, ProtocolRecord]) -> list[str]:
    """Add `train`, `val`, `train_mini`, `val_mini` to the splits and `val`, `val_mini` to the protocols.

    They are parts of `splits["trainval"]`, with its ids. Returns what should be said about them, a sentence each.
    """
    last_person = max(record["person_id"] for split in splits.values() for record in split.annotations)
    parts = split_by_identity(splits["trainval"], last_person + 1)
    if parts is None:
        return ["trainval is too small or too entangled for a train/val split without a common identity: there is none"]
    train, val, hidden = parts
    minis = {"train_mini": mini_split(train), "val_mini": mini_split(val)}
    splits.update(train=train, val=val, **minis)
    protocols.update(val=search_protocol(val), val_mini=search_protocol(minis["val_mini"]))
    boxes = sum(hidden.values())
    return [f"{boxes} boxes of {len(hidden)} persons are unknown in val, for they are known in train"] if hidden else []


def split_by_identity(split: Split, first_free_person: int) -> tuple[Split, Split, Counter[int]] | None:
    """Train and val without a common person, at most about a tenth of the scenes in val; None where that is impossible.

    Scenes that share an identity stay together. Where this leaves val nearly empty, the identities seen in most scenes
    are set aside, as many as leave most others to search for in val. If one of those is then in both parts, its boxes
    in val become unknown persons of their own, numbered from `first_free_person`: the third value counts these boxes
    of each identity.
    """
    seen, scene_count = _known_occurrences(split), len(split.images)
    in_val = _choose_val(scene_count, seen)
    if in_val.sum() < _VAL_SHARE / 2 * scene_count or not _num_searchable(in_val, seen):
        in_val = max(_candidate_vals(scene_count, seen), key=lambda kept: _num_searchable(kept, seen))
    train, val = _part(split, ~in_val), _part(split, in_val)
    if not train.annotations or not _num_searchable(in_val, seen):
        return None
    return train, val, _anonymize_common_persons(train, val, first_free_person)


def _candidate_vals(scene_count: int, seen: Occurrences) -> Iterator[npt.NDArray[np.bool_]]:
    """What val would be with 0, 1, 2, ... of the most frequent persons set aside, in growing steps."""
    by_frequency = np.argsort(-np.bincount(seen[:, 1]), kind="stable")
    aside = 0
    while aside <= len(by_frequency):
        yield _choose_val(scene_count, seen[~np.isin(seen[:, 1], by_frequency[:aside])])
        aside += max(1, aside // 8)


def _num_searchable(in_val: npt.NDArray[np.bool_], seen: Occurrences) -> int:
    """How many known persons are in two scenes of val or more and in none of train."""
    scenes, persons = seen.T
    in_scenes = np.bincount(persons)
    return int(((np.bincount(persons, in_val[scenes]) == in_scenes) & (in_scenes >= 2)).sum())


def mini_split(split: Split) -> Split:
    """About 100 scenes (at most half of the split), up to four of each of some persons, with all their boxes."""
    scenes, persons = _known_occurrences(split).T
    limit = min(_MINI_SCENES, max(2, len(split.images) // 2))
    chosen: dict[int, None] = {}
    for person in np.random.RandomState(0).permutation(persons.max(initial=-1) + 1):
        own = scenes[persons == person]
        if len(own) >= 2 and len(chosen) < limit:
            chosen.update(dict.fromkeys(own[:_MINI_SCENES_PER_PERSON].tolist()))
    wanted = np.zeros(len(split.images), bool)
    wanted[list(chosen)] = True
    return _part(split, wanted)


def _known_occurrences(split: Split) -> Occurrences:
    row_of = {image["id"]: row for row, image in enumerate(split.images)}
    known = [record for record in split.annotations if record["is_known"]]
    pairs = np.array([(row_of[record["image_id"]], record["person_id"]) for record in known], np.int64).reshape(-1, 2)
    pairs = np.unique(pairs, axis=0)
    pairs[:, 1] = np.unique(pairs[:, 1], return_inverse=True)[1].ravel()
    return pairs


def _choose_val(scene_count: int, seen: Occurrences) -> npt.NDArray[np.bool_]:
    """Bool (S,): the scenes of val, whole connected components, those with a person to search for first."""
    scenes, persons = seen.T
    size = scene_count + int(persons.max(initial=-1)) + 1
    links = coo_array((np.ones(len(scenes)), (scenes, persons + scene_count)), (size, size))
    component: npt.NDArray[np.int32] = connected_components(links, directed=False)[1][:scene_count]
    sizes = np.bincount(component)
    order = np.random.RandomState(0).permutation(len(sizes))
    order = order[np.argsort(sizes[order] < 2, kind="stable")]
    room = min(max(2, round(_VAL_SHARE * scene_count)), scene_count // 2)
    chosen = np.zeros(len(sizes), bool)
    for group in order:
        if 0 < sizes[group] <= room:
            chosen[group] = True
            room -= sizes[group]
    return chosen[component]


def _part(split: Split, wanted: npt.NDArray[np.bool_]) -> Split:
    images = [image for image, take in zip(split.images, wanted, strict=True) if take]
    identifiers = {image["id"] for image in images}
    annotations = [record.copy() for record in split.annotations if record["image_id"] in identifiers]
    return Split(images, annotations, split.image_root)


def _anonymize_common_persons(train: Split, val: Split, first_free: int) -> Counter[int]:
    """Make known persons of both parts unknown in val, each box a person of its own; returns the boxes of each."""
    common = known_persons(train)
    hidden: Counter[int] = Counter()
    for record in val.annotations:
        if record["is_known"] and record["person_id"] in common:
            hidden[record["person_id"]] += 1
            record["person_id"], record["is_known"] = first_free + hidden.total() - 1, False
    return hidden
