"""What a row costs at the paper's scale, reckoned from the paper's training times (Table 4, hours of one A100)."""

from spnet.config.schema import RunConfig
from spnet.paper.paper_table import PaperTable, Row, Scale
from spnet.paper.recipes import Recipe
from spnet.paper.tables import COCO, TABLE4

HOURS = {row.name: row.paper for row in TABLE4.rows}


def cost_of_row(row: Row, table: PaperTable, scale: Scale) -> tuple[float, float]:
    """Hours of pre-training and of fine-tuning on all data sets of a table; other backbones are taken for ConvNeXt."""
    recipe = row.recipe(scale)
    tuned = [title for title, _ in table.columns if title in HOURS["SPNet-S, QC"] and title != COCO]
    return _pretraining(recipe), sum(_finetuning(recipe.finetune, title) for title in tuned)


def _pretraining(recipe: Recipe) -> float:
    if recipe.pretrain is None:
        return 0.0
    along = "QC" if recipe.pretrain.objective.pathway == "query" else "OC"
    return HOURS[f"{_size(recipe.pretrain)}, {along}"][COCO]["hours"]


def _finetuning(run: RunConfig | None, title: str) -> float:
    return HOURS[f"{_size(run)}, QC"][title]["hours"] if run else 0.0


def _size(run: RunConfig) -> str:
    """Which of the paper's two sizes a run comes nearest to, by its backbone."""
    large = run.model.backbone.name in ("convnext_base", "resnet50", "swin_base_patch4_window7_224")
    return "SPNet-L" if large else "SPNet-S"
