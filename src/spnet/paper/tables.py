"""The paper's tables: what each row trains, and what the authors measured.

Sources: the supplementary, Tables 4 to 9; SPNet-L's metrics are those of the authors' README, mAP also of the abstract.
"""

from functools import partial

from spnet.paper.paper_table import PaperMetrics, PaperTable, Row, spnet_l, spnet_l_resnet, spnet_s, swin_b
from spnet.paper.recipes import (
    architecture,
    backbone_from,
    finetune_pathway,
    frozen_backbone,
    logits,
    mixed_lr,
    pretrain_pathway,
    random_backbone,
    reid_of_annotated_boxes,
    reid_only,
    replicated,
    uniform_lr,
    with_lwf,
    without_finetuning,
    without_pretraining,
)

without_pt = partial(spnet_s, without_pretraining)
object_centric = pretrain_pathway("object")
SOLIDER_WEIGHT = 0.6  # semantic weight of the authors' configurations
SEARCH = ("mAP", "top-1")
PARTS = ("mAP", "GT mAP", "AP@0.5")
HOURS = ("hours",)
COCO, CUHK, PRW = "COCOPersons", "CUHK-SYSU", "PRW"


def on(
    cuhk: tuple[float, ...] | None, prw: tuple[float, ...] | None, metrics: tuple[str, ...] = SEARCH
) -> PaperMetrics:
    """Metrics on the two data sets, in the order of the metrics."""
    both = {CUHK: cuhk, PRW: prw}
    return {name: dict(zip(metrics, values, strict=False)) for name, values in both.items() if values}


def both(metrics: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The columns of a table on both data sets."""
    return ((CUHK, metrics), (PRW, metrics))


def _map_only(metrics: PaperMetrics) -> PaperMetrics:
    return {data: {"mAP": at["mAP"]} for data, at in metrics.items()}


BASELINE = on((91.9, 93.2), (52.7, 86.6))
OURS_OC = on((92.8, 94.1), (54.5, 88.8))
OURS_QC = on((93.3, 94.1), (55.6, 89.5))
SPNET_L = on((96.4, 97.0), (61.2, 90.9))

MAIN = PaperTable(
    "main",
    "SPNet-S and SPNet-L, pre-trained query-centric and fine-tuned object-centric",
    both(SEARCH),
    (Row("SPNet-S", spnet_s(), OURS_QC), Row("SPNet-L", spnet_l(), SPNET_L)),
    note="Metrics of SPNet-L are those of the authors' README; the paper's abstract gives the same mAP.",
)

TABLE3 = PaperTable(
    "table3",
    "Initial weights of a Swin-B (bottom half of the main paper's Table 3)",
    both(SEARCH),
    (
        Row("From scratch", swin_b(without_pretraining, random_backbone), {}),
        Row("ImageNet-1k", swin_b(without_pretraining), {}),
        Row("SOLIDER", swin_b(without_pretraining, backbone_from("solider", SOLIDER_WEIGHT)), {}),
        Row(
            "SOLIDER, COCOPersons",
            swin_b(without_pretraining, backbone_from("solider-cocopersons", SOLIDER_WEIGHT)),
            {},
        ),
        Row("Ours-QC", swin_b(), {}),
        Row("Ours-OC", swin_b(object_centric), {}),
    ),
    note=(
        "The paper's metrics are not known to us. SOLIDER's weights (semantic weight 0.6) are files given by "
        "--backbone-weights; the second one is fine-tuned on crops of COCOPersons."
    ),
)

TABLE4 = PaperTable(
    "table4",
    "Training time",
    ((COCO, HOURS), *both(HOURS)),
    (
        Row("SPNet-S, QC", spnet_s(), {COCO: {"hours": 30.0}, **on((2.5,), (1.5,), HOURS)}),
        Row("SPNet-S, OC", spnet_s(object_centric, without_finetuning), {COCO: {"hours": 24.5}}),
        Row("SPNet-L, QC", spnet_l(), {COCO: {"hours": 46.5}, **on((9.0,), (4.5,), HOURS)}),
        Row("SPNet-L, OC", spnet_l(object_centric, without_finetuning), {COCO: {"hours": 40.5}}),
    ),
    note="The paper's times are those of one A100.",
)

TABLE5 = PaperTable(
    "table5",
    "Initialisation before fine-tuning (SPNet-S)",
    both(PARTS),
    (
        Row("Random Init.", without_pt(random_backbone), on((69.8, 85.8, 47.8), (22.3, 28.7, 66.8), PARTS)),
        Row("Classifier", without_pt(), on((91.9, 95.8, 83.2), (52.7, 56.6, 88.8), PARTS)),
        Row("Ours-OC", spnet_s(object_centric), on((92.8, 96.3, 83.9), (54.5, 57.6, 89.1), PARTS)),
        Row("Ours-QC", spnet_s(), on((93.3, 95.9, 84.9), (55.6, 58.7, 88.9), PARTS)),
    ),
)

TABLE6 = PaperTable(
    "table6",
    "The re-id loss of pre-training (SPNet-S)",
    both(SEARCH),
    (
        Row("Baseline", without_pt(), BASELINE),
        Row("Re-id Only", spnet_s(reid_only), on((91.5, 93.0), (51.9, 87.4))),
        Row("OC Re-id GT", spnet_s(object_centric, reid_of_annotated_boxes), on((92.4, 93.7), (55.7, 89.1))),
        Row("QC Re-id GT", spnet_s(reid_of_annotated_boxes), on((93.2, 94.3), (55.1, 88.5))),
        Row("OC Original", spnet_s(object_centric), OURS_OC),
        Row("QC Original", spnet_s(), OURS_QC),
    ),
)

TABLE7 = PaperTable(
    "table7",
    "Architectures of fine-tuning (after the same pre-training) and ways to optimize pre-training",
    both(SEARCH),
    (
        Row("SPNet-S: c0-share-d128", spnet_s(), OURS_QC),
        Row("c0-sep-d128", spnet_s(architecture("separate", 0)), {}),
        Row("c2-share-d128", spnet_s(architecture("shared", 2), replicated), {}),
        Row("c2-sep-d128", spnet_s(architecture("separate", 2), replicated), {}),
        Row("SPNet-L: c2-sep-d2048", spnet_l(), SPNET_L),
        Row("Uniform LR", spnet_s(uniform_lr), {}),
        Row("Mixed LR", spnet_s(mixed_lr), OURS_QC),
        Row("Mixed LR + LwF", spnet_s(mixed_lr, with_lwf), {}),
        Row("Frozen-BB", spnet_s(frozen_backbone), {}),
        Row("Fine-Tune", without_pt(), BASELINE),
    ),
    note="The paper's Table 7 lists configurations; their metrics are plotted, without numbers, in Figures 7 and 8.",
)

TABLE8 = PaperTable(
    "table8",
    "Query-centric and object-centric fine-tuning, each tested along its own path (SPNet-S)",
    both(SEARCH),
    (
        Row("OC-FT", without_pt(), BASELINE),
        Row("OC-FT+PT", spnet_s(), OURS_QC),
        Row("QC-FT", without_pt(finetune_pathway("query")), on((80.8, 87.7), (54.0, 86.7))),
        Row("QC-FT+PT", spnet_s(finetune_pathway("query")), on((77.4, 85.4), (54.1, 87.1))),
    ),
    gains=(("Gain from PT, OC-FT", "OC-FT+PT", "OC-FT"), ("Gain from PT, QC-FT", "QC-FT+PT", "QC-FT")),
)

TABLE9 = PaperTable(
    "table9",
    "Class logits from the norm of the offset (SPNet-S without pre-training)",
    both(SEARCH),
    (
        Row("BatchNorm Logits (+)", without_pt(logits("batch", "positive")), on((90.4, 91.9), (49.8, 84.3))),
        Row("BatchNorm Logits (-)", without_pt(logits("batch", "negative")), on((91.2, 92.0), (42.2, 82.2))),
        Row("FixedNorm Logits (+)", without_pt(logits("fixed", "positive")), on((91.1, 92.2), (52.6, 86.3))),
        Row("FixedNorm Logits (-)", without_pt(logits("fixed", "negative")), BASELINE),
    ),
)

SPEED = PaperTable(
    "speed",
    "Inference: time a scene, from pixels in memory to detections with embeddings",
    both(("ms a scene", "mAP")),
    (
        Row("SPNet-S", spnet_s(), _map_only(OURS_QC)),
        Row("SPNet-L", spnet_l(), _map_only(SPNET_L)),
        Row("SPNet-L, ResNet-50", spnet_l_resnet(without_pretraining), {}),
    ),
)

TABLES = (MAIN, TABLE3, TABLE4, TABLE5, TABLE6, TABLE7, TABLE8, TABLE9, SPEED)
