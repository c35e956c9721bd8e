"""Which rows are one training, and which start from one pre-training: what is shared is run once."""

from spnet.paper.figures import PAPER_TABLES
from spnet.paper.scales import paper_scale

SCALE = paper_scale()


def sharing(stage: str, key: str, name: str) -> set[tuple[str, str]]:
    """Rows that have the same pre-training, or the same of both stages."""
    (wanted,) = [row.recipe(SCALE) for row in PAPER_TABLES[key].rows if row.name == name]
    return {
        (other, row.name)
        for other, table in PAPER_TABLES.items()
        for row in table.rows
        for recipe in [row.recipe(SCALE)]
        if recipe.pretrain == wanted.pretrain and (stage == "pretrain" or recipe.finetune == wanted.finetune)
    }


ORIGINAL = {
    ("main", "SPNet-S"),
    ("table4", "SPNet-S, QC"),
    ("table5", "Ours-QC"),
    ("table6", "QC Original"),
    ("table7", "SPNet-S: c0-share-d128"),
    ("table7", "Mixed LR"),
    ("table8", "OC-FT+PT"),
    ("speed", "SPNet-S"),
    ("figure7", "Mixed LR, QC"),
    ("figure8", "c0-share-d128, PT"),
}
SAME_PRETRAINING = ORIGINAL | {
    ("table7", "c0-sep-d128"),
    ("table7", "c2-share-d128"),
    ("table7", "c2-sep-d128"),
    ("table8", "QC-FT+PT"),
    *(("figure8", f"c0-{heads}-d128, PT") for heads in ("share", "sep")),
    *(("figure8", f"c2-{rest}, PT-Rep") for rest in ("share-d128", "sep-d128", "sep-d2048")),
    ("figure8", "c2-sep-d2048, PT"),
}


def test_rows_share_trainings() -> None:
    assert sharing("both", "table5", "Ours-QC") == ORIGINAL
    assert sharing("pretrain", "table5", "Ours-QC") == SAME_PRETRAINING
    assert sharing("both", "table5", "Classifier") == {
        ("table5", "Classifier"),
        ("table6", "Baseline"),
        ("table7", "Fine-Tune"),
        ("table8", "OC-FT"),
        ("table9", "FixedNorm Logits (-)"),
        ("figure7", "Baseline"),
        ("figure8", "c0-share-d128, no pre-training"),
        ("fractions", "Baseline"),
    }
    assert sharing("both", "table5", "Ours-OC") == {
        ("table5", "Ours-OC"),
        ("table6", "OC Original"),
        ("figure7", "Mixed LR, OC"),
    }
    assert sharing("pretrain", "main", "SPNet-L") == {
        ("main", "SPNet-L"),
        ("table4", "SPNet-L, QC"),
        ("table7", "SPNet-L: c2-sep-d2048"),
        ("speed", "SPNet-L"),
    }
