"""MOTChallenge sequences: what counts, what is left out and said, and how parts are made."""

from pathlib import Path

import pytest
from releases import make_sequence

from spnet.data.converters.mot import prepare_mot
from spnet.data.schema import write_dataset
from spnet.errors import UserError


def test_tracks_are_identities_and_the_last_third_is_the_test_part(tmp_path: Path) -> None:
    prepared = prepare_mot([make_sequence(tmp_path / "street", frames=9, tracks=3)])
    train, test = prepared.splits["train"], prepared.splits["test"]
    assert [image["file_name"] for image in test.images] == [f"street/img1/{n:06d}.jpg" for n in (7, 8, 9)]
    assert [image["id"] for image in train.images + test.images] == list(range(9))
    assert [record["id"] for record in train.annotations + test.annotations] == list(range(27))
    assert {record["person_id"] for record in train.annotations} == {0, 1, 2}
    assert {record["person_id"] for record in test.annotations} == {0, 1, 2}
    assert train.annotations[1]["bbox"] == [19, 4, 8, 20]  # the file counts pixels from 1
    assert any("same people" in note for note in prepared.notes)
    write_dataset(tmp_path / "out", prepared.splits, prepared.protocols)


def test_queries_are_boxes_of_people_seen_again(tmp_path: Path) -> None:
    rows = [f"{frame},1,5,5,8,20,1,1,1" for frame in range(1, 10)] + ["8,2,20,5,8,20,1,1,1"]
    prepared = prepare_mot([make_sequence(tmp_path / "street", rows=rows)])
    test = prepared.splits["test"]
    people = {record["id"]: record["person_id"] for record in test.annotations}
    assert [people[query] for query in prepared.protocols["test"]["queries"]] == [0, 0, 0]
    assert prepared.protocols["test"]["images"] == [6, 7, 8]


def test_persons_of_two_sequences_are_different(tmp_path: Path) -> None:
    first, second = (make_sequence(tmp_path / name) for name in ("one", "two"))
    prepared = prepare_mot([first], [second])
    persons = [{record["person_id"] for record in prepared.splits[name].annotations} for name in ("train", "test")]
    assert persons == [{0, 1, 2}, {3, 4, 5}]
    assert [{image["cam_id"] for image in prepared.splits[name].images} for name in ("train", "test")] == [{1}, {2}]
    assert len(prepared.splits["train"].images) == len(prepared.splits["test"].images) == 9
    assert prepared.notes == []


@pytest.mark.parametrize("tail", ["", ",-1.5,2,0"], ids=["without class", "world coordinates"])
def test_rows_of_other_years_have_no_class(tail: str, tmp_path: Path) -> None:
    rows = [f"{frame},{track},5,5,8,20,1{tail}" for frame in range(1, 10) for track in (1, 2)]
    prepared = prepare_mot([make_sequence(tmp_path / "street", rows=rows)])
    assert len(prepared.splits["train"].annotations) == 12
    assert prepared.dropped == {}


def test_what_does_not_count_is_counted(tmp_path: Path) -> None:
    rows = [f"{frame},1,5,5,8,20,1,1,1" for frame in range(1, 10)]
    rows += ["1,2,5,5,8,20,0,1,1", "2,2,5,5,8,20,0,1,1", "1,3,5,5,8,20,1,7,1", "1,4,-50,5,8,20,1,1,1", ""]
    prepared = prepare_mot([make_sequence(tmp_path / "street", rows=rows)])
    assert prepared.dropped == {
        "rows of confidence 0": 2,
        "rows of other classes than pedestrian": 1,
        "boxes without a whole pixel inside the image": 1,
    }
    assert len(prepared.splits["train"].annotations) == 6


def test_boxes_end_at_the_edge_of_the_image(tmp_path: Path) -> None:
    rows = [f"{frame},1,-4,39,20,30,1,1,1" for frame in range(1, 10)]
    prepared = prepare_mot([make_sequence(tmp_path / "street", rows=rows)])
    assert prepared.splits["train"].annotations[0]["bbox"] == [0, 38, 15, 10]


def test_line_ends_and_a_missing_seqinfo_do_not_matter(tmp_path: Path) -> None:
    plain = make_sequence(tmp_path / "street")
    expected = prepare_mot([plain])
    truth = plain / "gt" / "gt.txt"
    truth.write_bytes(truth.read_bytes().replace(b"\n", b"\r\n"))
    (plain / "seqinfo.ini").unlink()
    assert prepare_mot([plain]) == expected


def test_a_sequence_named_twice_is_refused(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path / "street")
    with pytest.raises(UserError, match=r"street/img1/\.\.: the sequence is named twice"):
        prepare_mot([folder], [folder / "img1" / ".."])


def test_nobody_to_search_for_is_refused(tmp_path: Path) -> None:
    rows = [f"{frame},{frame},5,5,8,20,1,1,1" for frame in range(1, 10)]
    with pytest.raises(UserError, match="nobody is in two test frames"):
        prepare_mot([make_sequence(tmp_path / "street", rows=rows)])
