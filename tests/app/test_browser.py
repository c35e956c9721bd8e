"""The page in a browser: open a video, pause, click a person, hits, marks, filter, clip, export."""

from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from serving import Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: "Browser", served: Served) -> Iterator["Page"]:
    """The page with a paused video; it must write nothing to the console."""
    width, height = WIDTHS[request.param]
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(served.origin)
    page.locator("#sources button").first.click()
    wait_until(page, "document.querySelector('#video').readyState >= 2")
    yield page
    page.close()
    assert complaints == []


def wait_until(page: "Page", condition: str) -> None:
    """As `wait_for_function`, which the page's content security policy forbids."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(condition)


def click_a_person(page: "Page") -> None:
    page.locator("#seek").evaluate("seek => { seek.value = 1; seek.dispatchEvent(new Event('input')); }")
    wait_until(page, "document.querySelector('#clock').textContent === '0:01.0'")
    page.locator("#overlay .person").first.focus()
    page.keyboard.press("1")
    page.wait_for_selector(".card")


def similarities(page: "Page") -> list[str]:
    return page.locator(".card .similarity b").all_inner_texts()


def test_from_a_click_to_the_files(page: "Page", tmp_path: Path) -> None:
    page.click("#play")
    wait_until(page, "document.querySelector('#video').currentTime > 0.3")
    page.keyboard.press("Escape")
    page.locator("#overlay").click(position={"x": 5, "y": 5})  # pauses
    page.wait_for_selector("#overlay .person")
    page.locator("#overlay .person rect").first.click()
    page.wait_for_selector(".card")
    assert similarities(page)[0] == "1.00"
    assert page.locator(".lane").count() >= 2
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    before = similarities(page)
    page.locator(".card").nth(2).locator("[data-do=right]").click()
    page.wait_for_selector(".card.right")
    page.locator(".card").last.locator("[data-do=wrong]").click()
    page.wait_for_selector(".card.wrong")
    assert similarities(page) != before
    if not page.locator("#filters").evaluate("filters => filters.open"):
        page.click("#filters summary")
    with page.expect_response("**/api/searches"):
        page.locator("#cameras label", has_text="gate").click()
    wait_until(page, "[...document.querySelectorAll('.card .where')].every(one => one.textContent === 'gate')")
    page.locator(".card .shot").first.click()
    page.wait_for_selector("#overlay .follow")
    page.locator(".card [data-do=select]").first.check()
    with page.expect_download() as table:
        page.click("#csv")
    assert len(Path(table.value.path()).read_text().splitlines()) == 2
    with page.expect_download() as clips:
        page.click("#clips")
    assert [name[-4:] for name in ZipFile(clips.value.path()).namelist()] == [".mp4", ".csv"]


def test_by_the_keyboard_alone(page: "Page") -> None:
    click_a_person(page)
    page.keyboard.press("j")
    assert page.locator(".card.current .rank").inner_text() == "1"
    page.keyboard.press("j")
    page.keyboard.press("r")
    page.wait_for_selector(".card.right.current")
    page.keyboard.press("a")
    wait_until(page, "document.querySelectorAll('#queries button').length === 2")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.name") == "first"


def test_markup_in_a_name_is_text(page: "Page") -> None:
    click_a_person(page)
    assert "<img src=x onerror=alert(1)>" in (page.locator("#cameras").text_content() or "")
    assert page.locator("#cameras img, .where img, .lane > span img").count() == 0


def test_a_dragged_box_is_a_query(page: "Page") -> None:
    page.locator("#screen").scroll_into_view_if_needed()
    place = page.locator("#overlay").bounding_box()
    assert place is not None
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.move(x - 30, y - 50)
    page.mouse.down()
    page.mouse.move(x + 30, y + 50)
    page.mouse.up()
    page.wait_for_selector(".card")
    assert page.locator("#queries canvas").count() == 1
