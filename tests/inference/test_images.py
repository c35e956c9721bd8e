"""Every kind of image a person may hold gives the same pixels, and what is none is told."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spnet.config.schema import InferenceConfig
from spnet.errors import UserError
from spnet.inference.images import make_image_sample, read_pixels

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def test_all_kinds_give_the_same_pixels(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    image.save(tmp_path / "a.png")
    for given in (
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        image,
        PIXELS,
        torch.from_numpy(PIXELS).permute(2, 0, 1),
    ):
        found = read_pixels(given)
        assert found.dtype == np.uint8
        assert np.array_equal(found, PIXELS)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_other_colours_become_rgb(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    assert read_pixels(image).shape == (40, 60, 3)
    image.save(tmp_path / "a.tiff")
    assert np.array_equal(read_pixels(tmp_path / "a.tiff"), read_pixels(image))


def test_images_are_turned_as_they_say(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = 6  # turn by 90 degrees
    image.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_pixels(tmp_path / "turned.png"), np.rot90(PIXELS, -1))


BAD = [
    (np.zeros((40, 60), np.uint8), r"shape \(40, 60\) and type uint8"),
    (np.zeros((40, 60, 4), np.uint8), r"shape \(40, 60, 4\)"),
    (np.zeros((40, 60, 3), np.float32), "type float32"),
    (torch.zeros(40, 60, 3, dtype=torch.uint8), r"shape \(40, 60, 3\).*tensor \(3, H, W\)"),
    (torch.zeros(3, 40, 60), r"type torch\.float32"),
    (torch.zeros(1, 3, 40, 60, dtype=torch.uint8), r"shape \(1, 3, 40, 60\)"),
    (np.zeros((0, 60, 3), np.uint8), r"shape \(0, 60, 3\)"),
    (7, "type int"),
    (None, "type NoneType"),
]


@pytest.mark.parametrize(("image", "message"), BAD)
def test_what_is_no_image(image: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        read_pixels(image)  # type: ignore[arg-type]  # a user's mistake
    assert "\n" not in str(raised.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"image .*none\.png cannot be read: No such file or directory"):
        read_pixels(tmp_path / "none.png")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_pixels(str(tmp_path))
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UserError, match=r"text\.png cannot be read: no known image format"):
        read_pixels(tmp_path / "text.png")
    Image.fromarray(PIXELS).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    Image.fromarray(PIXELS).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:3000])
    for name in ("cut.jpg", "cut.png"):
        with pytest.raises(UserError, match=rf"{name} cannot be read: "):
            read_pixels(tmp_path / name)


def test_a_view_is_the_whole_image_in_the_window() -> None:
    view = make_image_sample(PIXELS, InferenceConfig(80, 200))
    assert view.image.shape == (3, 80, 120)
    assert view.scale == (2, 2)
    assert len(view.boxes) == len(view.person) == 0
    wide = make_image_sample(PIXELS, InferenceConfig(80, 90))
    assert wide.image.shape == (3, 60, 90)
    same = make_image_sample(PIXELS, InferenceConfig(40, 60))
    assert np.array_equal(same.image.permute(1, 2, 0).numpy(), PIXELS)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    for width, height, message in (
        (15001, 10000, r"a\.png has 15001 x 10000 pixels, more than the 150,000,000 that are read"),
        (60000, 60000, r"a\.png cannot be read: Image size \(3600000000 pixels\) exceeds limit"),
    ):
        header = b"IHDR" + struct.pack(">II", width, height) + whole[24:29]
        (tmp_path / "a.png").write_bytes(whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:])
        with pytest.raises(UserError, match=message):
            read_pixels(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"an image has 15001 x 10000 pixels"):
        read_pixels(Image.new("1", (15001, 10000)))
