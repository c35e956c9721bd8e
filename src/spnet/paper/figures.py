"""The paper's figures: what each point trains. The paper draws them without numbers; those known are of its tables."""

from collections.abc import Callable

from spnet.config.schema import PathwayName
from spnet.errors import UserError
from spnet.paper.paper_table import PaperMetrics, PaperTable, Row, Scale, spnet_s
from spnet.paper.recipes import (
    Patch,
    Recipe,
    architecture,
    frozen_backbone,
    mixed_lr,
    not_replicated,
    pretrain_pathway,
    pretrained_for,
    pretrained_on,
    replicated,
    uniform_lr,
    with_lwf,
    without_pretraining,
)
from spnet.paper.tables import BASELINE, CUHK, OURS_OC, OURS_QC, PRW, SEARCH, TABLES

PATHS: dict[str, PathwayName] = {"QC": "query", "OC": "object"}
OPTIMIZATIONS: dict[str, tuple[Patch, ...]] = {
    "Uniform LR": (uniform_lr,),
    "Mixed LR": (mixed_lr,),
    "Mixed LR + LwF": (mixed_lr, with_lwf),
    "Frozen-BB": (frozen_backbone,),
}
ARCHITECTURES: dict[str, Patch] = {
    "c0-share-d128": architecture("shared", 0),
    "c0-sep-d128": architecture("separate", 0),
    "c2-share-d128": architecture("shared", 2),
    "c2-sep-d128": architecture("separate", 2),
    "c2-sep-d2048": architecture("separate", 2, wide=True),
}
STARTS: dict[str, Patch] = {"no pre-training": without_pretraining, "PT": not_replicated, "PT-Rep": replicated}
# cascades of 128 dims load with PT-Rep alone; the paper has both ways of the widest: 11 bars
LOADED = {"c2-share-d128": ("PT-Rep",), "c2-sep-d128": ("PT-Rep",), "c2-sep-d2048": ("PT", "PT-Rep")}
FRACTIONS = ("p20", "p60", "p100", "p140", "p180")
shorter = pretrained_for(20 / 30)  # of the usual epochs
KNOWN = {  # points that are rows of tables too
    ("Mixed LR", "QC"): OURS_QC,
    ("Mixed LR", "OC"): OURS_OC,
    ("c0-share-d128", "no pre-training"): BASELINE,
    ("c0-share-d128", "PT"): OURS_QC,
}


def _point(place: str, series: str, recipe: Callable[[Scale], Recipe], data: str) -> Row:
    return Row(f"{place}, {series}", recipe, _only(data, KNOWN.get((place, series), {})), (place, series))


def _baseline(data: str) -> Row:
    return Row("Baseline", spnet_s(without_pretraining), _only(data, BASELINE), ("Baseline", "no pre-training"))


def _only(data: str, metrics: PaperMetrics) -> PaperMetrics:
    return {name: values for name, values in metrics.items() if name == data}


FIGURE7 = PaperTable(
    "figure7",
    "Ways to optimize pre-training, query-centric and object-centric, fine-tuned on PRW (SPNet-S)",
    ((PRW, SEARCH),),
    (
        _baseline(PRW),
        *(
            _point(name, series, spnet_s(pretrain_pathway(path), *changes), PRW)
            for name, changes in OPTIMIZATIONS.items()
            for series, path in PATHS.items()
        ),
    ),
    chart="bars",
)

FIGURE8 = PaperTable(
    "figure8",
    "Architectures with and without query-centric pre-training, fine-tuned on CUHK-SYSU",
    ((CUHK, SEARCH),),
    tuple(
        _point(name, series, spnet_s(change, start), CUHK)
        for name, change in ARCHITECTURES.items()
        for series, start in STARTS.items()
        if series in ("no pre-training", *LOADED.get(name, ("PT",)))
    ),
    chart="bars",
    note="All architectures here have SPNet-S's backbone and crops, and start from the same pre-training.",
)

FRACTIONS_STUDY = PaperTable(
    "fractions",
    "Pre-training on a share of the boxes (below 100) or with wrong boxes added (above), SPNet-S, 20 epochs",
    ((CUHK, SEARCH),),
    (
        _baseline(CUHK),
        *(
            _point(part, series, spnet_s(pretrain_pathway(path), pretrained_on(part), shorter), CUHK)
            for part in FRACTIONS
            for series, path in PATHS.items()
        ),
    ),
    chart="lines",
)

PAPER_TABLES = {table.key: table for table in (*TABLES, FIGURE7, FIGURE8, FRACTIONS_STUDY)}


def get_table(key: str) -> PaperTable:
    """A table or figure by its key. Raises UserError with the choices."""
    if key not in PAPER_TABLES:
        raise UserError(f"there is no table or figure {key!r}; choose {', '.join(PAPER_TABLES)}")
    return PAPER_TABLES[key]
