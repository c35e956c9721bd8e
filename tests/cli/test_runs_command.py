"""`spnet runs` as a person types it: everything there is in one table, what is wrong below it, exit status 0."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from rich.console import Console

from invented_runs import evaluate, interrupt, make_run
from spnet.cli import runs as runs_command
from spnet.cli.main import main
from spnet.evaluation.report import EVALUATOR_VERSION
from spnet.paper.results.runs_columns import COLUMNS, lines_of
from spnet.paper.results.runs_table import collect_runs


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs, the second with figures of another evaluator, the third interrupted."""
    folder = tmp_path / "some runs"
    evaluate(make_run(folder / "a", seed="1"), mAP=0.3)
    evaluate(make_run(folder / "b"), mAP=0.4, version=EVALUATOR_VERSION + 1)
    evaluate(interrupt(make_run(folder / "c & d")), mAP=0.2)
    return folder


def test_everything_is_printed_the_best_first(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(runs), "--sort", "mAP"]) == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines if "object" in out and line and line[-1] in ("weights", "config")] == [
        "b",
        "a",
        "c",
    ]
    assert "40.0*" in out
    assert "30.0 " in out
    assert out.startswith(f"3 runs below {runs}; all: pathway object, stage fine-tuning, architecture c0-share-d128, ")
    assert "\nc & d: interrupted after step 120, or still running; go on with: " in out
    assert f"\n* measured with another version of the evaluator than {EVALUATOR_VERSION}\n" in out
    heading = next(line for line in out.splitlines() if "GT mAP" in line)
    assert "seed" in heading
    assert "backbone" not in heading  # the same for all, said above


def test_one_run_has_all_its_columns(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(runs / "a")]) == 0
    heading = capsys.readouterr().out.splitlines()[2]
    assert heading.split() == [word for name in COLUMNS for word in name.split()] + ["files"]


def test_links_lead_to_configuration_and_weights(runs: Path) -> None:
    table, _ = runs_command._table(lines_of(collect_runs(runs)))
    links = {segment.style.link for segment in Console(width=300).render(table) if segment.style and segment.style.link}
    files = [*runs.glob("*/config.yaml"), *runs.glob("*/weights.safetensors")]
    assert links == {file.as_uri() for file in files}
    assert len(links) == 5


class Page(HTMLParser):
    """What a browser would show of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.values: list[list[str | None]] = []
        self.links: list[str] = []
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "tr":
            self.rows.append([])
            self.values.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.values[-1].append(given.get("data-value", given.get("data-first")))
        elif tag == "a":
            self.links.append(given["href"] or "")
        self.outside += [value or "" for name, value in attributes if name in ("src", "integrity") or tag == "link"]

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def test_page(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = runs.parent / "pages" / "runs.html"
    file.parent.mkdir()
    assert main(["runs", str(runs), "--sort", "mAP", "--html", str(file)]) == 0
    assert capsys.readouterr().out.endswith(f"page: {file}\n")
    page = Page(file.read_text())
    assert page.rows[0] == [*COLUMNS, "files"]
    assert [row[0] for row in page.rows[1:]] == ["b", "a", "c & d"]
    mean = list(COLUMNS).index("mAP")
    assert [row[mean] for row in page.rows] == ["mAP", "40.0*", "30.0", "20.0"]
    assert [row[mean] for row in page.values] == ["descending", "40.0", "30.0", "20.0"]
    assert page.values[0][list(COLUMNS).index("hours")] == "ascending"
    assert page.outside == []
    assert len(page.links) == 5
    for link in page.links:
        assert (file.parent / unquote(link)).is_file()
    assert "<li>c &amp; d: interrupted after step 120" in file.read_text()
    assert list(file.parent.iterdir()) == [file]


MISTAKES = [
    (["{}/missing"], "missing: no such folder"),
    (["{}/a/logs"], "no run is there"),
    (["{}", "--sort", "x"], "--sort x: there is no such column; choose 'run', "),
    (["{}", "--html", "{}/no/page.html"], "page.html: cannot be written"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES)
def test_mistakes_are_one_line(arguments: list[str], said: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", *(part.format(runs) for part in arguments)]) == 2
    printed = capsys.readouterr()
    assert re.fullmatch(rf"spnet runs: error: .*{re.escape(said)}.*\n", printed.err)
    assert printed.out == ""
