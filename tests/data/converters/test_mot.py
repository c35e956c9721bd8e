"""MOTChallenge sequences: what counts, what is left out and said, and how parts are made."""

import re
from pathlib import Path

import pytest
from releases import make_sequence

from spnet.cli.main import main
from spnet.data.converters.mot import prepare_mot
from spnet.data.schema import write_dataset
from spnet.errors import UserError


def test_tracks_are_identities_and_the_last_third_is_the_test_part(tmp_path: Path) -> None:
    converted = prepare_mot([make_sequence(tmp_path / "street", frames=9, tracks=3)])
    train, test = converted.splits["train"], converted.splits["test"]
    assert [image["file_name"] for image in test.images] == [f"street/img1/{n:06d}.jpg" for n in (7, 8, 9)]
    assert [image["id"] for image in train.images + test.images] == list(range(9))
    assert [record["id"] for record in train.annotations + test.annotations] == list(range(27))
    assert {record["person_id"] for record in train.annotations} == {0, 1, 2}
    assert {record["person_id"] for record in test.annotations} == {0, 1, 2}
    assert train.annotations[1]["bbox"] == [19, 4, 8, 20]  # the file counts pixels from 1
    assert any("same people" in note for note in converted.notes)
    write_dataset(tmp_path / "out", converted.splits, converted.protocols)


def test_queries_are_boxes_of_people_seen_again(tmp_path: Path) -> None:
    rows = [f"{frame},1,5,5,8,20,1,1,1" for frame in range(1, 10)] + ["8,2,20,5,8,20,1,1,1"]
    converted = prepare_mot([make_sequence(tmp_path / "street", rows=rows)])
    test = converted.splits["test"]
    people = {record["id"]: record["person_id"] for record in test.annotations}
    assert [people[int(query)] for query in converted.protocols["test"]["queries"]] == [0, 0, 0]
    assert converted.protocols["test"]["images"] == [6, 7, 8]


def test_persons_of_two_sequences_are_different(tmp_path: Path) -> None:
    first, second = (make_sequence(tmp_path / name) for name in ("one", "two"))
    converted = prepare_mot([first], [second])
    persons = [{record["person_id"] for record in converted.splits[name].annotations} for name in ("train", "test")]
    assert persons == [{0, 1, 2}, {3, 4, 5}]
    assert [{image["cam_id"] for image in converted.splits[name].images} for name in ("train", "test")] == [{1}, {2}]
    assert len(converted.splits["train"].images) == len(converted.splits["test"].images) == 9
    assert converted.notes == []


@pytest.mark.parametrize("tail", ["", ",-1.5,2,0"], ids=["without class", "world coordinates"])
def test_rows_of_other_years_have_no_class(tail: str, tmp_path: Path) -> None:
    rows = [f"{frame},{track},5,5,8,20,1{tail}" for frame in range(1, 10) for track in (1, 2)]
    converted = prepare_mot([make_sequence(tmp_path / "street", rows=rows)])
    assert len(converted.splits["train"].annotations) == 12
    assert converted.dropped == {}


def test_what_does_not_count_is_counted(tmp_path: Path) -> None:
    rows = [f"{frame},1,5,5,8,20,1,1,1" for frame in range(1, 10)]
    rows += ["1,2,5,5,8,20,0,1,1", "2,2,5,5,8,20,0,1,1", "1,3,5,5,8,20,1,7,1", "1,4,-50,5,8,20,1,1,1", ""]
    converted = prepare_mot([make_sequence(tmp_path / "street", rows=rows)])
    assert converted.dropped == {
        "rows of confidence 0": 2,
        "rows of other classes than pedestrian": 1,
        "boxes without a whole pixel inside the image": 1,
    }
    assert len(converted.splits["train"].annotations) == 6


def test_boxes_end_at_the_edge_of_the_image(tmp_path: Path) -> None:
    rows = [f"{frame},1,-4,39,20,30,1,1,1" for frame in range(1, 10)]
    converted = prepare_mot([make_sequence(tmp_path / "street", rows=rows)])
    assert converted.splits["train"].annotations[0]["bbox"] == [0, 38, 15, 10]


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
    with pytest.raises(UserError, match="no person is in two of the 3 test scenes"):
        prepare_mot([make_sequence(tmp_path / "street", rows=rows)])


def test_every_nth_frame_of_each_sequence_is_kept(tmp_path: Path) -> None:
    first, second = (make_sequence(tmp_path / name, frames=frames) for name, frames in (("one", 9), ("two", 7)))
    converted = prepare_mot([first], [second], every=3)
    names = {name: [image["file_name"] for image in split.images] for name, split in converted.splits.items()}
    assert names["train"] == [f"one/img1/{frame:06d}.jpg" for frame in (1, 4, 7)]
    assert names["test"] == [f"two/img1/{frame:06d}.jpg" for frame in (1, 4, 7)]
    assert [len(split.annotations) for split in converted.splits.values()] == [9, 9]
    assert converted.dropped == {"frames that --every 3 skips": 10}


def test_the_test_part_is_a_third_of_the_frames_that_are_kept(tmp_path: Path) -> None:
    splits = prepare_mot([make_sequence(tmp_path / "street", frames=12)], every=2).splits
    assert [image["file_name"][-5:] for image in splits["train"].images] == ["1.jpg", "3.jpg", "5.jpg", "7.jpg"]
    assert [image["file_name"][-6:] for image in splits["test"].images] == ["09.jpg", "11.jpg"]


@pytest.mark.parametrize(("every", "message"), [("10", "--every 10: .*only 9 frames"), ("0", "--every 0: must")])
def test_every_beyond_the_sequence_is_refused(
    every: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["prepare", "mot", "--train", str(make_sequence(tmp_path / "street")), "--every", every]
    assert main([*command, "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)
    assert not (tmp_path / "out").exists()
