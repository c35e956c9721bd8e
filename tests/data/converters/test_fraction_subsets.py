"""Subsets of annotation fractions: wrong boxes, and the numbers they may have."""

from spnet.data.converters.coco_subsets import FIRST_NOISE_ID, fraction_subsets
from spnet.data.schema import PersonRecord, Split, image_record, person_record


def make_split(first: int, scenes: int, person_offset: int = 0) -> Split:
    """Three boxes in each scene, every second scene twice as large as the others."""
    split = Split([], [], "images")
    for scene in range(first, first + scenes):
        zoom = 1 + scene % 2
        split.images.append(image_record(scene, f"{scene}.jpg", 100 * zoom, 80 * zoom))
        for number in range(3):
            box, identifier = (10 * number * zoom, 5 * zoom, 8 * zoom, 20 * zoom), 3 * scene + number
            split.annotations.append(
                person_record(identifier, scene, box, identifier + person_offset, iou_threshold=0.3)
            )
    return split


def wrong_boxes(subsets: dict[str, Split]) -> list[PersonRecord]:
    right = {record["id"] for record in subsets["p100"].annotations}
    return [record for record in subsets["p180"].annotations if record["id"] not in right]


def test_wrong_boxes_are_boxes_of_the_split_scaled_to_their_image() -> None:
    split = make_split(0, 10)
    sizes = {image["id"]: image["width"] / 100 for image in split.images}
    wrong = wrong_boxes(fraction_subsets({"pretrain": split}, "pretrain"))
    assert len(wrong) == 4 * 6
    for record in wrong:
        x, y, width, height = (value / sizes[record["image_id"]] for value in record["bbox"])
        assert (y, width, height) == (5, 8, 20)
        assert x in (0, 10, 20)
        assert record["iou_thresh"] == 0.3
        assert record["is_known"]


def test_a_wrong_box_gets_no_number_that_an_annotation_or_a_person_of_any_split_has() -> None:
    splits = {"train": make_split(FIRST_NOISE_ID // 3, 1), "pretrain": make_split(0, 10, FIRST_NOISE_ID - 23)}
    numbers = [record["id"] for record in wrong_boxes(fraction_subsets(splits, "pretrain"))]
    # train's annotations are 300000 to 300002, and the last of pretrain's persons 300006
    assert numbers == list(range(FIRST_NOISE_ID + 7, FIRST_NOISE_ID + 7 + 24))
    records = fraction_subsets(splits, "pretrain")["p180"].annotations
    assert all(record["person_id"] == record["id"] for record in records if record["id"] in set(numbers))


def test_subsets_hold_the_images_of_their_boxes_alone() -> None:
    split = make_split(0, 6)
    del split.annotations[1:3]  # the first scene has one person: it is in none of them
    for subset in fraction_subsets({"pretrain": split}, "pretrain").values():
        assert [image["id"] for image in subset.images] == [1, 2, 3, 4, 5]
        assert {record["image_id"] for record in subset.annotations} == {1, 2, 3, 4, 5}
        assert subset.image_root == "images"
