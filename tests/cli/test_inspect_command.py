"""`spnet data` and `spnet prepare` as they are typed: what is printed, what is written, which status."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from spnet.cli.main import main
from spnet.data import inspection
from spnet.data.schema import Split, image_record, person_record, write_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = [image_record(row, f"{row}.jpg", 60, 50) for row in range(2)]
    persons = [person_record(row, row, (5, 5, 20, 30), 4) for row in range(2)]
    write_dataset(
        tmp_path / "data", {"test": Split(images, persons, "p")}, {"test": {"queries": [0], "images": [0, 1]}}
    )
    (tmp_path / "data" / "p").mkdir()
    for image in images:
        Image.new("RGB", (60, 50)).save(tmp_path / "data" / "p" / image["file_name"])
    return tmp_path / "data"


def test_a_good_data_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder), "--decode", "--num-workers", "2"]) == 0
    printed = capsys.readouterr().out
    assert "test" in printed
    assert "1 queries, 2 scenes" in printed
    assert "no problems found" in printed
    assert (folder / "contact_sheet.jpg").exists()


@pytest.mark.parametrize("cores", [None, 1, 64])
def test_as_many_images_are_read_at_a_time_as_there_are_cores(
    cores: int | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    read_images = inspection.read_images
    monkeypatch.setattr(os, "cpu_count", lambda: cores)

    def read(images: Sequence[tuple[Path, tuple[int, int]]], num_workers: int) -> Iterator[str | None]:
        asked.append(num_workers)
        return read_images(images, 1)

    monkeypatch.setattr(inspection, "read_images", read)
    assert main(["inspect", str(folder), "--decode"]) == 0
    assert asked == [cores or 1]


def test_all_problems_are_listed_and_the_status_is_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "p" / "1.jpg").write_bytes(b"no image")
    (folder / "retrieval" / "G50.json").write_text(json.dumps({"queries": [77], "images": [0]}))
    (folder / "retrieval" / "empty.json").write_text(json.dumps({"queries": [], "images": [0]}))
    assert main(["inspect", str(folder), "--decode", "--contact-sheet", str(folder.parent / "sheet.jpg")]) == 2
    printed = capsys.readouterr()
    assert "empty.json" in printed.out
    assert "problem: protocol G50: no split has" in printed.out
    assert "1.jpg" in printed.out
    assert printed.err.count("\n") == 1
    assert "3 problems, listed above" in printed.err


@pytest.mark.parametrize("arguments", [["inspect", "nowhere"], ["inspect", "nowhere", "--num-workers", "0"]])
def test_mistakes_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("source", ["mot", "coco", "yolo", "crops", "synthetic", "cocopersons", "cuhk-sysu", "prw"])
def test_every_source_explains_itself(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["prepare", source, "--help"])
    assert ended.value.code == 0
    assert "--output DIR" in capsys.readouterr().out
