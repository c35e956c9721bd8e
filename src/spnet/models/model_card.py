"""The model card of a network: what it was trained on and how, how good it is, what it is for and what it is not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from spnet.config.schema import ModelConfig, PathwayName
from spnet.models.hub import LIBRARY

TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
TAGS = ["person-search", "re-identification", "pytorch_model_hub_mixin"]


@dataclass(frozen=True)
class TrainedRun:
    """What a card says of one training run; texts are empty where the run did not note it."""

    name: str
    data: str  # name, split and counts
    command: str
    hardware: str = ""  # with time and steps
    date: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """Metrics of one evaluation by one protocol."""

    evaluation: str  # data set, split and pathway
    protocol: str
    metrics: Mapping[str, float]  # percent, by name
    evaluator_version: int


def make_model_card(
    config: ModelConfig,
    pathway: PathwayName,
    repo_id: str = "ORG/NAME",
    license: str = "unknown",
    runs: Sequence[TrainedRun] = (),
    measurements: Sequence[Measurement] = (),
) -> ModelCard:
    """Fill the template `model_card.md.jinja`.

    Args:
        config: the architecture.
        pathway: how the network was trained.
        repo_id: `org/name` on the hub.
        license: of the weights, an identifier of the hub's.
        runs: pre-training first.
        measurements: of the finished network.
    """
    results = [
        EvalResult("person-search", one.evaluation, one.evaluation, name, round(value, 2), dataset_split=one.protocol)
        for one in measurements
        for name, value in one.metrics.items()
    ]
    about = ModelCardData(
        license=license,
        library_name=LIBRARY,
        pipeline_tag="object-detection",
        tags=TAGS,
        model_name=repo_id.rpartition("/")[2],
        eval_results=results or None,
    )
    card: ModelCard = ModelCard.from_template(
        about,
        template_path=str(TEMPLATE),
        config=config,
        pathway=pathway,
        repo_id=repo_id,
        runs=runs,
        measurements=measurements,
    )
    return card
