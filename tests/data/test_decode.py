"""Reading image files: the fast way and the fallback agree, damage is always noticed and named."""

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spnet.data.decode import read_image
from spnet.errors import UserError

SIZE = (96, 64)


def image() -> Image.Image:
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    waves = [120 + 80 * np.sin(x / (6 + k)) * np.cos(y / (9 - k)) for k in range(3)]
    noise = np.random.default_rng(0).normal(scale=6, size=(SIZE[1], SIZE[0], 3))
    return Image.fromarray(np.clip(np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8))


def encoded(mode: str = "RGB", kind: str = "JPEG", **options: object) -> bytes:
    target = io.BytesIO()
    image().convert(mode).save(target, kind, **options)
    return target.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("RGB", "JPEG", {}),
        ("RGB", "JPEG", {"progressive": True}),
        ("RGB", "JPEG", {"subsampling": 0}),
        ("L", "JPEG", {}),
        ("CMYK", "JPEG", {}),
        ("RGB", "PNG", {}),
        ("L", "PNG", {}),
        ("P", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("RGB", "BMP", {}),
    ],
)
def test_every_kind_of_file_reads_as_pillow_reads_it(
    tmp_path: Path, mode: str, kind: str, options: dict[str, int]
) -> None:
    path = tmp_path / "image"
    path.write_bytes(encoded(mode, kind, **options))
    pixels, reduction = read_image(path, SIZE)
    assert reduction == 1
    assert pixels.dtype == np.uint8
    expected = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert np.abs(pixels - expected).max() <= 2  # two builds of libjpeg-turbo may round differently


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_reduced_pixels_are_means_of_blocks(tmp_path: Path, reduction: int) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(subsampling=0, quality=98))
    pixels, given = read_image(path, SIZE, reduction)
    assert given == reduction
    full = read_image(path, SIZE)[0].astype(float)
    blocks = full.reshape(SIZE[1] // reduction, reduction, SIZE[0] // reduction, reduction, 3).mean(axis=(1, 3))
    assert pixels.shape == blocks.shape
    assert np.abs(pixels - blocks).mean() < 2


def test_reduction_of_odd_sizes_rounds_up(tmp_path: Path) -> None:
    image().crop((0, 0, 93, 61)).save(tmp_path / "odd.jpg")
    assert read_image(tmp_path / "odd.jpg", (93, 61), 4)[0].shape == (16, 24, 3)


def test_a_format_without_reduction_comes_whole(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(kind="PNG"))
    pixels, reduction = read_image(tmp_path / "a.png", SIZE, 4)
    assert (pixels.shape, reduction) == ((SIZE[1], SIZE[0], 3), 1)


def test_stored_pixels_are_not_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees to show"
    (tmp_path / "turned.jpg").write_bytes(encoded(exif=exif))
    assert read_image(tmp_path / "turned.jpg", SIZE)[0].shape == (SIZE[1], SIZE[0], 3)


def test_harmless_flaws_are_read(tmp_path: Path) -> None:
    """Stray bytes before a marker, as some cameras write them; nothing is missing."""
    data = encoded()
    scan = data.index(b"\xff\xda")
    (tmp_path / "flawed.jpg").write_bytes(data[:scan] + b"\0\0\0" + data[scan:])
    (tmp_path / "fine.jpg").write_bytes(data)
    flawed, fine = (read_image(tmp_path / name, SIZE)[0] for name in ("flawed.jpg", "fine.jpg"))
    assert np.abs(flawed.astype(int) - fine).max() <= 2


JPEG, PNG, PROGRESSIVE = encoded(), encoded(kind="PNG"), encoded(progressive=True)


@pytest.mark.parametrize("kept", [0, 3, 20, 300, len(JPEG) // 2, len(JPEG) - 100, len(JPEG) - 2])
@pytest.mark.parametrize("reduction", [1, 2])
def test_a_truncated_jpeg_is_refused(tmp_path: Path, kept: int, reduction: int) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(JPEG[:kept])
    with pytest.raises(UserError, match=r"^image .*cut\.jpg cannot be read: [^\n]+$"):
        read_image(path, SIZE, reduction)


@pytest.mark.parametrize("data", [PNG[:50], PNG[: len(PNG) // 2], PROGRESSIVE[: len(PROGRESSIVE) // 2], b"hello"])
def test_other_damage_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"^image .*broken cannot be read: [^\n]+$"):
        read_image(path, SIZE)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jpg cannot be read: No such file"):
        read_image(tmp_path / "none.jpg", SIZE)
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_image(tmp_path, SIZE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("reduction", [1, 4])
def test_another_size_than_annotated_is_refused_with_both(tmp_path: Path, kind: str, reduction: int) -> None:
    path = tmp_path / "small"
    path.write_bytes(encoded(kind=kind))
    with pytest.raises(UserError, match=r"^image .*small is 96 x 64 pixels, its annotations say 64 x 96$"):
        read_image(path, (64, 96), reduction)


def header(kind: str, width: int, height: int) -> bytes:
    """A file whose header claims a size, in which there is next to nothing."""
    if kind == "PNG":
        chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        end = b"IEND"
        whole = [struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in (chunk, end)]
        return b"\x89PNG\r\n\x1a\n" + b"".join(whole)
    start = JPEG.index(b"\xff\xc0")
    return JPEG[: start + 5] + struct.pack(">HH", height, width) + JPEG[start + 9 :]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("annotated", [True, False])
@pytest.mark.parametrize(("width", "height"), [(60000, 60000), (15001, 10000)])
def test_a_bomb_is_refused_by_its_header(kind: str, annotated: bool, width: int, height: int, tmp_path: Path) -> None:
    """Whether or not the annotations say so, nothing is decoded, which would take gigabytes."""
    (tmp_path / "bomb").write_bytes(header(kind, width, height))
    tracemalloc.start()
    with pytest.raises(UserError, match=r"^image .*bomb (has|is|cannot be read: )[^\n]*$") as raised:
        read_image(tmp_path / "bomb", (width, height) if annotated else SIZE)
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()
    if annotated:
        assert f"has {width} x {height} pixels, more than the 150,000,000 that are read" in str(raised.value)


def test_the_largest_image_is_read_as_far_as_its_bytes_go(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(header("JPEG", 15000, 10000))
    with pytest.raises(UserError, match=r"large\.jpg is 15000 x 10000 pixels, its annotations say 96 x 64"):
        read_image(tmp_path / "large.jpg", SIZE)


def test_no_other_program_decodes_an_image(tmp_path: Path) -> None:
    """Pillow has Ghostscript run what an EPS file says."""
    image().save(tmp_path / "a.eps")
    with pytest.raises(UserError, match=r"a\.eps cannot be read: no known image format"):
        read_image(tmp_path / "a.eps", SIZE)
