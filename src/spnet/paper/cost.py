"""What a row costs at the paper's scale, reckoned from the paper's training times (Table 4, hours of one A100)."""

from spnet.config.schema import RunConfig
from spnet.paper.paper_table import PaperTable, Row, Scale
from spnet.paper.tables import COCO, TABLE4

HOURS = {row.name: row.paper for row in TABLE4.rows}


def cost_of_row(row: Row, table: PaperTable, scale: Scale) -> tuple[float, float]:
    """Hours of pre-training and of fine-tuning on all data sets of a table; other backbones are taken for ConvNeXt."""
    recipe = row.recipe(scale)
    pretraining = finetuning = 0.0
    if recipe.pretrain is not None:
        along = "QC" if recipe.pretrain.objective.pathway == "query" else "OC"
        pretraining = HOURS[f"{_size(recipe.pretrain)}, {along}"][COCO]["hours"]
    if recipe.finetune is not None:
        hours = HOURS[f"{_size(recipe.finetune)}, QC"]
        finetuning = sum(hours[title]["hours"] for title, _ in table.columns if title in hours and title != COCO)
    return pretraining, finetuning


def _size(run: RunConfig) -> str:
    """Which of the paper's two sizes a run comes nearest to, by its backbone."""
    large = run.model.backbone.name in ("convnext_base", "resnet50", "swin_base_patch4_window7_224")
    return "SPNet-L" if large else "SPNet-S"
