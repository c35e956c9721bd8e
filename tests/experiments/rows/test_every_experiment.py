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

from spnet.data.schema import read_annotations
from spnet.evaluation.protocols import read_protocols
from spnet.evaluation.report import Report, measure
from spnet.experiments.rows.datasets import drawn_sources
from spnet.experiments.rows.exhibits import Scale
from spnet.experiments.rows.paper_figures import EXHIBITS
from spnet.experiments.running.plan import Training, make_plan
from spnet.model.network import SPNet
from spnet.model.weights import WEIGHTS_NAME, read_weights, save_weights
from spnet.search.collect import Passing, collect_arrays
from spnet.search.query_centric import evaluate_query_path
from spnet.training.config import RunConfig
from spnet.training.fit import make_training_loader
from spnet.training.module import TrainingModule
from spnet.training.transfer import build_network

TRAININGS = 81  # different ones over all exhibits with one seed, 32 of them pre-trainings


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
        if training.depends not in self.steps:
            config = training.config
            if training.after is not None:
                self.step(training.after)
                source = str(self.folder / training.after.depends)
                config = replace(config, weights=replace(config.weights, source=source))
            self.steps[training.depends] = step = take_step(config)
            save_weights(self.folder / training.depends / WEIGHTS_NAME, step.network, config.objective.path)
        return self.steps[training.depends]


def take_step(config: RunConfig) -> Step:
    """Build, transfer, forward, backward, step."""
    torch.manual_seed(config.seed)
    loader = make_training_loader(config)
    network, _ = build_network(config)
    module = TrainingModule(config, network, loader.scenes.num_identities, len(loader)).train()
    logged: dict[str, Tensor] = {}
    module.log_dict = lambda values, **options: logged.update(values)  # type: ignore[method-assign]
    module.log = lambda *arguments, **options: None  # type: ignore[method-assign]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    module.training_step(next(iter(loader)), 0).backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), config.optimiser.clip_norm)
    module.optimizer_step(0, 0, module.configure_optimizers()["optimizer"])
    return Step(network, before, {name: float(value) for name, value in logged.items()})


def evaluate_network(network: SPNet, data: Path, path: str) -> Report:
    annotations = read_annotations(data / "annotations" / "test.json")
    protocols = read_protocols(data / "retrieval" / "test.json")
    how = Passing(network.config.inference.window)
    if path == "query":
        return evaluate_query_path(network, annotations, protocols, how)
    return measure(collect_arrays(network, annotations, how), protocols)


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
    if config.objective.forgetting:
        expected.add("forgetting")
    assert set(step.losses) == {f"loss/{name}" for name in expected}
    parts = [value for name, value in step.losses.items() if name != "loss/total"]
    assert step.losses["loss/total"] == pytest.approx(sum(parts), rel=1e-4)


def assert_stepped(step: Step, config: RunConfig) -> None:
    """Weights are finite, and those changed that should."""
    after = step.network.state_dict()
    assert all(value.isfinite().all() for value in after.values())
    changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, step.before[name])}
    expected = {"trunk", "pyramid", "reid", "anchors", "boxes"}
    if not config.objective.detection:
        expected -= {"anchors", "boxes"}
    if config.optimiser.freeze_trunk:
        expected -= {"trunk"}
    assert expected <= changed
    assert ("trunk" in changed) != config.optimiser.freeze_trunk
    assert ("bridges" in changed) == (config.objective.detection and config.objective.path == "object")


def assert_started_from(step: Step, folder: Path) -> None:
    """Trunk, pyramid and anchors are those of the pre-training."""
    pretrained = read_weights(folder).state
    taken = [name for name in step.before if name.startswith(("trunk.", "pyramid.", "anchors."))]
    assert taken
    assert all(torch.equal(step.before[name], pretrained[name]) for name in taken)


def assert_evaluated(report: Report) -> None:
    search = report.searches["test"]
    figures = [report.detection.recall, report.detection.average_precision]
    figures += [search[setting].mean_average_precision for setting in ("detected", "ground_truth")]
    assert all(0 <= figure <= 1 for figure in figures)
    assert search["ground_truth"].mean_average_precision > 0


@pytest.mark.parametrize("key", EXHIBITS)
def test_a_step_and_an_evaluation_of(key: str, workshop: Workshop, miniature: Scale, drawn_data: Path) -> None:
    plan = make_plan(EXHIBITS[key], miniature, drawn_sources(drawn_data), [0])
    rows = {cell.row.name for cell in plan.cells}
    assert rows == {row.name for row in EXHIBITS[key].rows}
    assert not [cell.problem for cell in plan.cells if cell.problem]
    for training in plan.trainings():
        step, config = workshop.step(training), training.config
        assert_losses(step, config)
        assert_stepped(step, config)
        if training.after:
            assert_started_from(step, workshop.folder / training.after.depends)
    for cell in plan.cells:
        training = cell.training
        assert training is not None
        if cell.data is not None and training.depends not in workshop.evaluated:
            workshop.evaluated.add(training.depends)
            network = workshop.step(training).network
            assert_evaluated(evaluate_network(network, drawn_data, training.config.objective.path))


def test_there_are_so_many_trainings(miniature: Scale, drawn_data: Path) -> None:
    """Shared pre-trainings are recognised: without that there would be more."""
    plans = [make_plan(exhibit, miniature, drawn_sources(drawn_data), [0]) for exhibit in EXHIBITS.values()]
    different = {training.depends for plan in plans for training in plan.trainings()}
    assert len(different) == TRAININGS
