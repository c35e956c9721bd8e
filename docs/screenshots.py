"""Photograph report pages for the gallery (docs/gallery.md), in Debian's Chromium.

    python docs/screenshots.py NAME=PAGE.html ...

writes docs/images/page_NAME.webp: the page's first screens at a width of 1280 pixels, below 200 KB.
"""

import sys
from io import BytesIO
from pathlib import Path
from shutil import which

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
WIDTH, HEIGHT = 1280, 1700
MOST_BYTES = 200_000


def photograph(pages: dict[str, Path]) -> None:
    """Write an image of each page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        for name, page in pages.items():
            tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            tab.goto(page.resolve().as_uri())
            height = min(HEIGHT, tab.evaluate("document.body.scrollHeight"))
            tab.set_viewport_size({"width": WIDTH, "height": height})
            file = IMAGES / f"page_{name}.webp"
            file.write_bytes(compress(Image.open(BytesIO(tab.screenshot()))))
            print(f"wrote {file}")
        browser.close()


def compress(image: Image.Image) -> bytes:
    """WebP of the best quality that is small enough."""
    for quality in range(90, 0, -5):
        image.save(stream := BytesIO(), "webp", quality=quality, method=6)
        if stream.tell() < MOST_BYTES:
            break
    return stream.getvalue()


if __name__ == "__main__":
    photograph({name: Path(page) for name, _, page in (word.partition("=") for word in sys.argv[1:])})
