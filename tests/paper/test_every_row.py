"""Every registered experiment is built, trained for a step and evaluated once, at miniature size.

Trainings that rows share are shared here too. A fine-tuning starts from the weights its pre-training has after its
step.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spnet.config.schema import RunConfig
from spnet.data.schema import read_annotations
from spnet.evaluation.extract import ExtractionConfig, extract_arrays
from spnet.evaluation.protocols import read_protocols
from spnet.evaluation.query_pathway import evaluate_query_pathway
from spnet.evaluation.report import Report, measure
from spnet.models.checkpoints import read_weights, save_weights
from spnet.models.hub import WEIGHTS_NAME
from spnet.models.spnet import SPNet
from spnet.paper.datasets import USER_WEIGHTS, synthetic_sources
from spnet.paper.figures import PAPER_TABLES
from spnet.paper.paper_table import Scale
from spnet.paper.plan import Training, make_plan
from spnet.training.module import TrainingModule
from spnet.training.trainer import make_training_loader
from spnet.training.transfer import build_network

TRAININGS = 62  # different ones over all tables with one seed, 23 of them pre-trainings


@dataclass
class Step:
    """One training after its one step."""

    network: SPNet
    before: dict[str, Tensor]
    losses: dict[str, float]


class Workshop:
    """Takes the step of each training once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: dict[str, Step] = {}
        self.evaluated: set[str] = set()

    def step(self, training: Training) -> Step:
        if training.fingerprint not in self.steps:
            config = training.config
            if training.after is not None:
                self.step(training.after)
                source = str(self.folder / training.after.fingerprint)
                config = replace(config, weights=replace(config.weights, init_from=source))
            self.steps[training.fingerprint] = step = take_step(config)
            save_weights(self.folder / training.fingerprint / WEIGHTS_NAME, step.network, config.objective.pathway)
        return self.steps[training.fingerprint]


def take_step(config: RunConfig) -> Step:
    """Build, transfer, forward, backward, step."""
    torch.manual_seed(config.seed)
    loader = make_training_loader(config)
    network, _ = build_network(config)
    module = TrainingModule(config, network, loader.scenes.num_identities, len(loader)).train()
    logged: dict[str, Tensor] = {}
    module.log_dict = lambda values, **options: logged.update(values)  # type: ignore[method-assign]  # there is no trainer
    module.log = lambda *arguments, **options: None  # type: ignore[method-assign]  # there is no trainer
    before = {name: value.clone() for name, value in network.state_dict().items()}
    module.training_step(next(iter(loader)), 0).backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), config.optimizer.grad_clip_norm)
    module.optimizer_step(0, 0, module.configure_optimizers()["optimizer"])
    return Step(network, before, {name: float(value) for name, value in logged.items()})


def evaluate_network(network: SPNet, data: Path, path: str) -> Report:
    annotations = read_annotations(data / "annotations" / "test.json")
    protocols = read_protocols(data / "retrieval" / "test.json")
    how = ExtractionConfig(network.config.inference)
    if path == "query":
        return evaluate_query_pathway(network, annotations, protocols, how)
    return measure(extract_arrays(network, annotations, how), protocols)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


def assert_losses(step: Step, config: RunConfig) -> None:
    """All that is to be trained has a finite loss, and nothing else has one."""
    assert all(math.isfinite(value) for value in step.losses.values())
    expected = {"reid", "total"}
    if config.objective.detection:
        expected |= {"anchor_class", "box_0"}
        for number in range(1, config.model.cascade_steps + 1):
            expected |= {f"box_{number}", f"class_{number}"}
    if config.objective.lwf:
        expected.add("lwf")
    assert set(step.losses) == {f"loss/{name}" for name in expected}
    parts = [value for name, value in step.losses.items() if name != "loss/total"]
    assert step.losses["loss/total"] == pytest.approx(sum(parts), rel=1e-4)


def assert_stepped(step: Step, config: RunConfig) -> None:
    """Weights are finite, and those changed that should."""
    after = step.network.state_dict()
    assert all(value.isfinite().all() for value in after.values())
    changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, step.before[name])}
    expected = {"backbone", "fpn", "reid", "anchors", "boxes"}
    if not config.objective.detection:
        expected -= {"anchors", "boxes"}
    if config.optimizer.freeze_backbone:
        expected -= {"backbone"}
    assert expected <= changed
    assert ("backbone" in changed) != config.optimizer.freeze_backbone
    assert ("bridges" in changed) == (config.objective.detection and config.objective.pathway == "object")


def assert_started_from(step: Step, folder: Path) -> None:
    """Backbone, pyramid and anchors are those of the pre-training."""
    pretrained = read_weights(folder).state
    taken = [name for name in step.before if name.startswith(("backbone.", "fpn.", "anchors."))]
    assert taken
    assert all(torch.equal(step.before[name], pretrained[name]) for name in taken)


def assert_evaluated(report: Report) -> None:
    search = report.searches["test"]
    figures = [report.detection.recall, report.detection.average_precision]
    figures += [search[setting].mean_average_precision for setting in ("detected", "ground_truth")]
    assert all(0 <= figure <= 1 for figure in figures)
    assert search["ground_truth"].mean_average_precision > 0


def classifier_of(scale: Scale) -> Path:
    assert scale.spnet_s.finetune is not None
    return Path(scale.spnet_s.finetune.model.backbone.weights)


@pytest.mark.parametrize("key", PAPER_TABLES)
def test_a_step_and_an_evaluation_of(key: str, workshop: Workshop, miniature: Scale, synthetic_data: Path) -> None:
    files = {name: classifier_of(miniature) for name in USER_WEIGHTS}
    sources = replace(synthetic_sources(synthetic_data), weights=files)
    plan = make_plan(PAPER_TABLES[key], miniature, sources, [0])
    rows = {cell.row.name for cell in plan.cells}
    assert rows == {row.name for row in PAPER_TABLES[key].rows}
    assert not [cell.problem for cell in plan.cells if cell.problem]
    for training in plan.trainings():
        step, config = workshop.step(training), training.config
        assert_losses(step, config)
        assert_stepped(step, config)
        if training.after:
            assert_started_from(step, workshop.folder / training.after.fingerprint)
    for cell in plan.cells:
        trained = cell.training
        assert trained is not None
        if cell.data is not None and trained.fingerprint not in workshop.evaluated:
            workshop.evaluated.add(trained.fingerprint)
            network = workshop.step(trained).network
            assert_evaluated(evaluate_network(network, synthetic_data, trained.config.objective.pathway))


def test_there_are_so_many_trainings(miniature: Scale, synthetic_data: Path) -> None:
    """Shared pre-trainings are recognised: without that there would be more."""
    plans = [make_plan(table, miniature, synthetic_sources(synthetic_data), [0]) for table in PAPER_TABLES.values()]
    different = {training.fingerprint for plan in plans for training in plan.trainings()}
    assert len(different) == TRAININGS
