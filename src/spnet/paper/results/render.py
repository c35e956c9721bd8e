"""A result in files, and as a table in three languages: Markdown for the web, LaTeX for a paper, and the terminal's."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from spnet.errors import UserError
from spnet.files import write_bytes, write_json
from spnet.paper.results.grid import Grid, Line, make_grid
from spnet.paper.results.outcomes import Outcome

WIDE = 10  # columns of figures that a page holds in the usual size of a table
LEAST_WIDTH = 76  # characters, in the terminal: what stands below a table is as wide as the table
LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "−": "$-$",
        "×": r"$\times$",
        "≥": r"$\geq$",
        "‖": r"$\|$",
        "—": "---",
        "*": "$^*$",  # a star or a bracket would be taken for an option of the line's end before it
        "[": "{[}",
        "]": "{]}",
        "–": "--",
        **{sign: f"${sign}$" for sign in "<>|"},
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    }
)


def write_results(outcome: Outcome, folder: Path) -> list[Path]:
    """Write `<key>.md`, `.tex` and `.json`, and of a figure `.png` and `.pdf`; returns their paths.

    Each appears complete or not at all. Raises UserError where that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}") from None
    texts = {folder / f"{outcome.key}.md": as_markdown(outcome), folder / f"{outcome.key}.tex": as_latex(outcome)}
    for file, text in texts.items():
        write_bytes(file, text.encode())
    file = folder / f"{outcome.key}.json"
    write_json(file, asdict(outcome))
    charts = []
    if outcome.chart:
        from spnet.paper.results.charts import save_chart  # matplotlib takes a second to load

        charts = save_chart(outcome, folder)
    return [*texts, file, *charts]


def as_markdown(outcome: Outcome) -> str:
    """The result as a Markdown page: title, note, image if there is one, table, footnotes, facts."""
    grid = make_grid(outcome)
    titles = [f"{heading.source} {heading.data} {title}" for heading in grid.headings for title in heading.titles]
    rows = [["", *titles], *([line.name, *line.cells] for line in grid.lines)]
    texts = [[_markdown_escaped(cell) for cell in row] for row in rows]
    parts = [
        f"# {_markdown_escaped(outcome.title)}",
        f"![{_markdown_escaped(outcome.title)}]({outcome.key}.png)" if outcome.chart else "",
        _markdown_escaped(outcome.note),
        _markdown_table(texts),
        _markdown_list(grid.notes),
        _markdown_list(grid.facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_latex(outcome: Outcome) -> str:
    """The result as a LaTeX `table*` (in one column the same as `table`); its preamble needs booktabs alone."""
    grid = make_grid(outcome)
    columns = "".join("@{\\quad}" + "r" * len(heading.titles) for heading in grid.headings)
    titles = [title for heading in grid.headings for title in heading.titles]
    size = "footnotesize" if len(titles) <= WIDE else "scriptsize"
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{table*}",
        f"  \\centering\\{size}\\setlength{{\\tabcolsep}}{{3pt}}",
        f"  \\caption{{{_latex_escaped(f'{outcome.title}. {outcome.note}'.strip())}}}",
        f"  \\label{{tab:{outcome.key}}}",
        f"  \\begin{{tabular}}{{@{{}}l{columns}@{{}}}}",
        "    \\toprule",
        *_latex_groups(grid),
        _latex_row(["", *titles]),
        "    \\midrule",
        *(_latex_line(line) for line in grid.lines),
        "    \\bottomrule",
        "  \\end{tabular}",
        "  \\par\\smallskip\\raggedright",
        *(f"  {_latex_escaped(note)}\\par" for note in (*grid.notes, *grid.facts)),
        "\\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def as_terminal(outcome: Outcome) -> Table:
    """The result as a table for the terminal."""
    grid = make_grid(outcome)
    below = (outcome.note, *grid.notes, *grid.facts)
    table = Table(
        title=escape(outcome.title),
        caption=escape("\n".join(text for text in below if text)),
        caption_justify="left",
        caption_style="",
        min_width=LEAST_WIDTH,
        box=SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
    )
    table.add_column("", no_wrap=True)
    for heading in grid.headings:
        for number, title in enumerate(heading.titles):
            over = (heading.source, heading.data) if number == 0 else ("", "")
            table.add_column("\n".join((*over, title)), justify="right", no_wrap=True)
    for line in grid.lines:
        table.add_row(escape(line.name), *line.cells, style="italic" if line.gain else None)
    return table


def _markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equal length, the first of headings, lined up so that the text itself can be read."""
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    lines = [
        " | ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(sized))
        for sized in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    rule = " | ".join("-" * (width - 1) + ":" if column else "-" * width for column, width in enumerate(widths))
    return "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))


def _markdown_list(texts: Iterable[str]) -> str:
    return "\n".join(f"* {_markdown_escaped(text)}" for text in texts)


def _markdown_escaped(text: str) -> str:
    for sign in "\\|<*`":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _latex_groups(grid: Grid) -> list[str]:
    """Two lines of headings over those of the metrics: paper and ours with their data sets, and a rule below each."""
    names, rules, first = [""], [], 2
    for heading in grid.headings:
        count = len(heading.titles)
        names.append(f"\\multicolumn{{{count}}}{{c}}{{{_latex_escaped(f'{heading.source}, {heading.data}')}}}")
        rules.append(f"\\cmidrule(lr){{{first}-{first + count - 1}}}")
        first += count
    return [f"    {' & '.join(names)} \\\\", f"    {' '.join(rules)}"] if grid.headings else []


def _latex_line(line: Line) -> str:
    row = _latex_row([line.name, *line.cells])
    return f"{row}\n    \\addlinespace" if line.gain else row


def _latex_row(cells: Sequence[str]) -> str:
    return f"    {' & '.join(_latex_escaped(cell) for cell in cells)} \\\\"


def _latex_escaped(text: str) -> str:
    return " ".join(text.split()).translate(LATEX)
