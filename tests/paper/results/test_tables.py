"""A result reads the same in Markdown, LaTeX and the terminal: figures, gains, footnotes, facts."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from invented import outcome, outcome_of, row
from rich.console import Console

from spnet.errors import UserError
from spnet.paper.figures import PAPER_TABLES
from spnet.paper.results.outcomes import Outcome, read_outcome
from spnet.paper.results.render import as_latex, as_markdown, as_terminal, write_results

TABLE8 = {"OC-FT": 50.0, "OC-FT+PT": 52.5, "QC-FT": 49.0, "QC-FT+PT": 47.0}


def markdown_rows(result: Outcome) -> dict[str, list[str]]:
    """The cells of each line of the Markdown table by its name."""
    lines = [line for line in as_markdown(result).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {name: rest for name, *rest in cells}


def printed(result: Outcome, width: int = 200) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(as_terminal(result))
    return capture.get()


def test_figures_of_paper_and_ours_stand_side_by_side() -> None:
    rows = markdown_rows(outcome_of("table8", TABLE8))
    assert rows[""] == [
        f"{source} {data} {metric}"
        for source in ("paper", "ours")
        for data in ("CUHK-SYSU", "PRW")
        for metric in ("mAP", "top-1")
    ]
    assert rows["OC-FT"] == ["91.9", "93.2", "52.7", "86.6", *["51.0 ± 1.0"] * 4]
    assert list(rows)[2:] == [
        "OC-FT",
        "OC-FT+PT",
        "Gain from PT, OC-FT",
        "QC-FT",
        "QC-FT+PT",
        "Gain from PT, QC-FT",
    ]


def test_gains_are_the_papers_and_ours_seed_by_seed() -> None:
    rows = markdown_rows(outcome_of("table8", TABLE8))
    # the supplementary prints these in Table 8; ours differ by the same in each seed, so there is no spread
    assert rows["Gain from PT, OC-FT"] == ["+1.4", "+0.9", "+2.9", "+2.9", *["+2.5 ± 0.0"] * 4]
    assert rows["Gain from PT, QC-FT"] == ["−3.4", "−2.3", "+0.1", "+0.4", *["−2.0 ± 0.0"] * 4]


def test_gains_where_seeds_do_not_pair_up_have_no_spread() -> None:
    rows = (row("a", None, [40, 42, 44]), row("b", None, [50, 54]), row("c", None, []))
    gains = (("b over a", "b", "a"), ("c over a", "c", "a"))
    lines = markdown_rows(outcome(*rows, gains=gains))
    assert lines["b over a"] == ["+10.0"]
    assert lines["c over a"] == ["—"]


def test_paper_columns_without_any_figure_are_left_out() -> None:
    assert markdown_rows(outcome_of("speed", {}))[""] == [
        "paper CUHK-SYSU mAP",
        "paper PRW mAP",
        "ours CUHK-SYSU ms a scene",
        "ours CUHK-SYSU mAP",
        "ours PRW ms a scene",
        "ours PRW mAP",
    ]


def test_drawn_streets_have_columns_of_their_own() -> None:
    rows = markdown_rows(outcome_of("table9", {"FixedNorm Logits (-)": 20.0}, data="synthetic scenes"))
    assert rows[""][4:] == ["ours synthetic scenes mAP", "ours synthetic scenes top-1"]
    assert rows["FixedNorm Logits (-)"][4:] == ["21.0 ± 1.0", "21.0 ± 1.0"]
    assert rows["BatchNorm Logits (+)"] == ["90.4", "91.9", "49.8", "84.3", "—", "—"]


PROBLEM = "run finetune_prw 0: interrupted\nat step 300"


@pytest.mark.parametrize("show", [as_markdown, as_latex, printed])
def test_problems_seeds_and_facts_stand_below(show: Callable[[Outcome], str]) -> None:
    result = outcome(row("a", 10.0, [40, 42, 44]), row("b", 20.0, [50, 54], problems=(PROBLEM,)), note="Mind this.")
    text = " ".join(show(result).split())
    for escaped, plain in (("\\_", "_"), ("$^*$", "*"), ("\\*", "*"), ("$\\pm$", "±")):
        text = text.replace(escaped, plain)
    assert "ours: mean ± standard deviation of 3 seeds" in text
    assert "* b: 2 of 3 seeds on PRW" in text
    assert "* b: run finetune_prw 0: interrupted at step 300" in text
    assert "* a:" not in text
    assert "hardware: CPU, 2 cores" in text
    assert "Mind this." in text


@pytest.mark.parametrize(("seeds", "said"), [([], "nothing is measured yet"), ([40.0], "one seed")])
def test_what_our_figures_are_is_said(seeds: list[float], said: str) -> None:
    assert f"* ours: {said}\n" in as_markdown(outcome(row("a", 10.0, seeds)))


@pytest.mark.parametrize("key", PAPER_TABLES)
def test_every_exhibit_has_lines_of_one_length(key: str) -> None:
    result = outcome_of(key, {PAPER_TABLES[key].rows[0].name: 30.0})
    rows = markdown_rows(result)
    assert len({len(cells) for cells in rows.values()}) == 1
    assert [name for name in rows if name in {one.name for one in result.rows}] == [one.name for one in result.rows]
    body = as_latex(result).partition("\\toprule")[2].partition("\\bottomrule")[0]
    figures = [line for line in body.splitlines() if line.endswith("\\\\") and "multicolumn" not in line]
    assert {line.count(" & ") for line in figures} == {len(rows[""])}
    text = printed(result)
    for one in result.rows:
        assert one.name in text


NASTY = r"50% of a_b & c#d {e} \f ~ ^ $g$ [h] *i* <j> | ± × −"


def test_latex_is_escaped() -> None:
    result = outcome(row(NASTY, 1.0, [2.0], problems=(NASTY,)), title=NASTY, note=NASTY, facts={NASTY: NASTY})
    text = as_latex(result)
    expected = (
        r"50\% of a\_b \& c\#d \{e\} \textbackslash{}f \textasciitilde{} \textasciicircum{} \$g\$ {[}h{]} $^*$i$^*$ "
        r"$<$j$>$ $|$ $\pm$ $\times$ $-$"
    )
    assert text.count(expected) == 7  # title, note, row, footnote on the row, fact and its name
    assert not re.search(r"\\\\\s*[*\[]", text)  # would be taken for an option of the line's end
    plain = re.sub(r"\\[{}$]", "", text)
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0


def test_markup_of_markdown_and_terminal_is_not_taken_for_markup() -> None:
    result = outcome(row("a | b [bold]c", 1.0, [2.0]))
    assert "| a \\| b [bold]c |" in as_markdown(result)
    assert "a | b [bold]c" in printed(result)


def test_files_are_written_and_read_again(tmp_path: Path) -> None:
    result = outcome_of("table8", TABLE8)
    files = write_results(result, tmp_path / "new" / "results")
    assert [file.name for file in files] == ["table8.md", "table8.tex", "table8.json"]
    assert sorted(files) == sorted((tmp_path / "new" / "results").iterdir())
    assert files[0].read_text() == as_markdown(result)
    assert json.loads(files[2].read_text())["rows"][0]["own"]["PRW"]["mAP"] == [50, 51, 52]
    again = read_outcome(files[2])
    assert as_markdown(again) == as_markdown(result)
    assert as_latex(again) == as_latex(result)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*cannot be made"):
        write_results(outcome_of("table8", {}), tmp_path / "file" / "results")
