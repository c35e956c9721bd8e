"""The table of runs as one page that opens from disk: sorted by a click on a heading, links relative to the page."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from spnet.files import atomic_write
from spnet.paper.results.runs_columns import COLUMNS, Column, Line

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ margin: 24px; color: #1c2330; font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Arial, sans-serif; }}
h1 {{ font-size: 22px; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 5px 12px 5px 0; text-align: left; white-space: nowrap; border-bottom: 1px solid #e1e6ee; }}
.number {{ text-align: right; }}
th button {{ font: inherit; color: #5d6879; background: none; border: 0; padding: 0; cursor: pointer; }}
th[aria-sort] button {{ color: #1c2330; }}
th[aria-sort=ascending] button::after {{ content: " ▲"; }}
th[aria-sort=descending] button::after {{ content: " ▼"; }}
</style>
</head>
<body>
<h1>{title}</h1>
<div class="wide"><table>
<thead><tr>{headings}<th>files</th></tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
{notes}
<script>
const body = document.querySelector("tbody");
const headings = [...document.querySelectorAll("th[data-first]")];
headings.forEach((heading, column) => heading.querySelector("button").onclick = () => {{
  const now = heading.getAttribute("aria-sort");
  const order = now ? (now === "ascending" ? "descending" : "ascending") : heading.dataset.first;
  const sign = order === "ascending" ? 1 : -1;
  headings.forEach(other => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", order);
  const value = row => row.cells[column].dataset.value;
  const compare = (a, b) => isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
  body.append(...[...body.rows].sort((a, b) =>
    !value(a) - !value(b) || (value(a) ? sign * compare(value(a), value(b)) : 0)));  // empty cells last
}});
</script>
</body>
</html>
"""


def write_runs_page(file: Path, title: str, lines: Sequence[Line], notes: Sequence[str]) -> None:
    """Write the page; `notes` stand below the table. Raises UserError where it cannot be written."""
    beside = file.resolve().parent
    page = PAGE.format(
        title=escape(title),
        headings="".join(_heading(name, column) for name, column in COLUMNS.items()),
        rows="\n".join(_row(line, beside) for line in lines),
        notes="<ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>" if notes else "",
    )
    with atomic_write(file) as stream:
        stream.write(page.encode())


def _heading(name: str, column: Column) -> str:
    first = "ascending" if column.best_first > 0 else "descending"
    return f'<th{_class(column)} data-first="{first}"><button>{escape(name)}</button></th>'


def _row(line: Line, beside: Path) -> str:
    cells = []
    for column in COLUMNS.values():
        value = column.value(line)
        kept = "" if value is None else escape(str(value))
        cells.append(f'<td{_class(column)} data-value="{kept}">{escape(column.text(line))}</td>')
    links = " ".join(
        f'<a href="{quote(Path(os.path.relpath(file.resolve(), beside)).as_posix())}">{name}</a>'
        for name, file in line.run.files().items()
    )
    return f"<tr>{''.join(cells)}<td>{links}</td></tr>"


def _class(column: Column) -> str:
    return ' class="number"' if column.metric else ""
