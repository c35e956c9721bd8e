"""The paper's figures that stand beside ours are those it prints, and every figure has its column."""

import pytest

from spnet.paper.figures import PAPER_TABLES
from spnet.paper.paper_table import PaperMetrics
from spnet.paper.results.metrics import METRICS
from spnet.paper.scales import paper_scale

# Tables 4, 5, 6, 8 and 9 as printed, copied from the supplementary: CUHK-SYSU, then PRW
PRINTED = {
    "table5": """
        Random Init. | 69.8 85.8 47.8 | 22.3 28.7 66.8
        Classifier   | 91.9 95.8 83.2 | 52.7 56.6 88.8
        Ours-OC      | 92.8 96.3 83.9 | 54.5 57.6 89.1
        Ours-QC      | 93.3 95.9 84.9 | 55.6 58.7 88.9""",
    "table6": """
        Baseline    | 91.9 93.2 | 52.7 86.6
        Re-id Only  | 91.5 93.0 | 51.9 87.4
        OC Re-id GT | 92.4 93.7 | 55.7 89.1
        QC Re-id GT | 93.2 94.3 | 55.1 88.5
        OC Original | 92.8 94.1 | 54.5 88.8
        QC Original | 93.3 94.1 | 55.6 89.5""",
    "table8": """
        OC-FT    | 91.9 93.2 | 52.7 86.6
        OC-FT+PT | 93.3 94.1 | 55.6 89.5
        QC-FT    | 80.8 87.7 | 54.0 86.7
        QC-FT+PT | 77.4 85.4 | 54.1 87.1""",
    "table9": """
        BatchNorm Logits (+) | 90.4 91.9 | 49.8 84.3
        BatchNorm Logits (-) | 91.2 92.0 | 42.2 82.2
        FixedNorm Logits (+) | 91.1 92.2 | 52.6 86.3
        FixedNorm Logits (-) | 91.9 93.2 | 52.7 86.6""",
}
HEADINGS = {"table5": ("mAP", "GT mAP", "AP@0.5")}
SEARCH = ("mAP", "top-1")
SETS = ("CUHK-SYSU", "PRW")


def printed(key: str) -> dict[str, dict[str, dict[str, float]]]:
    metrics = HEADINGS.get(key, SEARCH)
    rows = {}
    for line in PRINTED[key].strip().splitlines():
        name, *parts = (part.strip() for part in line.split("|"))
        figures = [dict(zip(metrics, map(float, part.split()), strict=True)) for part in parts]
        rows[name] = dict(zip(SETS, figures, strict=True))
    return rows


@pytest.mark.parametrize("key", PRINTED)
def test_the_papers_figures_are_those_it_prints(key: str) -> None:
    table = PAPER_TABLES[key]
    assert {row.name: row.paper for row in table.rows} == printed(key)
    assert [row.name for row in table.rows] == list(printed(key))
    assert table.columns == tuple((name, HEADINGS.get(key, SEARCH)) for name in SETS)


def test_training_times_are_those_of_table_4() -> None:
    printed = {  # pre-training QC, OC; fine-tuning on CUHK-SYSU, PRW
        "SPNet-S": (30.0, 24.5, 2.5, 1.5),
        "SPNet-L": (46.5, 40.5, 9.0, 4.5),
    }
    paper = {row.name: {data: at["hours"] for data, at in row.paper.items()} for row in PAPER_TABLES["table4"].rows}
    for name, (query, objects, cuhk, prw) in printed.items():
        assert paper.pop(f"{name}, QC") == {"COCOPersons": query, "CUHK-SYSU": cuhk, "PRW": prw}
        assert paper.pop(f"{name}, OC") == {"COCOPersons": objects}
    assert paper == {}


def test_gains_of_table_8_are_those_it_prints() -> None:
    printed = {
        "Gain from PT, OC-FT": (1.4, 0.9, 2.9, 2.9),
        "Gain from PT, QC-FT": (-3.4, -2.3, 0.1, 0.4),
    }
    assert {name for name, _, _ in PAPER_TABLES["table8"].gains} == printed.keys()
    for name, more, less in PAPER_TABLES["table8"].gains:
        paper: dict[str, PaperMetrics] = {row.name: row.paper for row in PAPER_TABLES["table8"].rows}
        first, second = paper[more], paper[less]
        gains = [first[data][metric] - second[data][metric] for data in SETS for metric in SEARCH]
        assert gains == pytest.approx(printed[name])


def test_figures_drawn_without_numbers_have_only_those_known_from_tables() -> None:
    known = {
        (key, row.name): row.paper
        for key in ("figure7", "figure8", "fractions", "table7")
        for row in PAPER_TABLES[key].rows
    }
    tables = {name: figures for key in ("table5", "table6", "table8") for name, figures in printed(key).items()}
    baseline, oc, qc = (tables[name] for name in ("Baseline", "OC Original", "QC Original"))
    large = {"CUHK-SYSU": {"mAP": 96.4, "top-1": 97.0}, "PRW": {"mAP": 61.2, "top-1": 90.9}}
    assert {place: paper for place, paper in known.items() if paper} == {
        ("figure7", "Baseline"): {"PRW": baseline["PRW"]},
        ("figure7", "Mixed LR, QC"): {"PRW": qc["PRW"]},
        ("figure7", "Mixed LR, OC"): {"PRW": oc["PRW"]},
        ("figure8", "c0-share-d128, no pre-training"): {"CUHK-SYSU": baseline["CUHK-SYSU"]},
        ("figure8", "c0-share-d128, PT"): {"CUHK-SYSU": qc["CUHK-SYSU"]},
        ("fractions", "Baseline"): {"CUHK-SYSU": baseline["CUHK-SYSU"]},
        ("table7", "SPNet-S: c0-share-d128"): qc,
        ("table7", "SPNet-L: c2-sep-d2048"): large,
        ("table7", "Mixed LR"): qc,
        ("table7", "Fine-Tune"): baseline,
    }


def test_the_same_training_has_the_same_figures_everywhere() -> None:
    """Rows of several tables that are one network, in the paper as here."""
    seen: dict[tuple[str, str, str], dict[float, str]] = {}
    for key, table in PAPER_TABLES.items():
        for row in table.rows:
            for data, at in row.paper.items():
                for metric in at.keys() & {"mAP", "top-1", "GT mAP", "AP@0.5"}:
                    place = (repr(row.recipe(paper_scale())), data, metric)
                    seen.setdefault(place, {})[at[metric]] = f"{key}, {row.name}"
    assert [figures for figures in seen.values() if len(figures) > 1] == []


def test_every_figure_has_a_column_and_a_metric() -> None:
    for table in PAPER_TABLES.values():
        columns = dict(table.columns)
        assert {metric for metrics in columns.values() for metric in metrics} <= METRICS.keys()
        for row in table.rows:
            for data, at in row.paper.items():
                assert at.keys() <= set(columns[data])
        names = {row.name for row in table.rows}
        assert all({more, less} <= names for _, more, less in table.gains)
        assert all((row.at is not None) == (table.chart is not None) for row in table.rows)


def test_figure_8_has_11_bars_and_the_fractions_five_points_of_each_pathway() -> None:
    assert len(PAPER_TABLES["figure8"].rows) == 11
    assert len(PAPER_TABLES["fractions"].rows) == 1 + 5 * 2
    assert PAPER_TABLES["fractions"].columns == (("CUHK-SYSU", SEARCH),)


def test_the_papers_metrics_of_table_3_are_not_known() -> None:
    assert {row.name: row.paper for row in PAPER_TABLES["table3"].rows if row.paper} == {}
    assert "not known" in PAPER_TABLES["table3"].note
