"""The registry of re-id losses, and the order in which each takes its loss and updates its memory."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Self

import pytest
import torch
from torch import Tensor

from miniature import make_batch, make_network
from spnet.config.schema import ObjectiveConfig
from spnet.errors import UserError
from spnet.losses import reid
from spnet.losses.oim import OIM
from spnet.losses.person_contrastive import PersonContrastiveMemory
from spnet.losses.reid import Places, Regions, ReidLoss, TeacherEmbed, build_reid_loss, register
from spnet.training.objective import SPNetLoss
from spnet.types import SceneBatch

CONFIG = ObjectiveConfig(queue_size=6, logit_scale=3.0, oim_momentum=0.25)
GROUND_TRUTH = replace(CONFIG, reid_box_source="gt")


@pytest.fixture
def dummy() -> Iterator[type[ReidLoss]]:
    """A loss that somebody else registers, without a teacher; gone after the test."""

    @register("dummy")
    class Dummy(ReidLoss):
        @classmethod
        def from_config(cls, config: ObjectiveConfig, identities: int, dims: int) -> Self:
            return cls()

        def step(
            self,
            embeddings: Tensor,
            batch: SceneBatch,
            regions: Sequence[Regions],
            teacher: TeacherEmbed | None,
            repeats: int,
        ) -> Tensor:
            assert teacher is None
            return embeddings.square().sum() + sum(len(part.boxes) for part in regions)

    yield Dummy
    del reid._REGISTRY["dummy"]


class DummyWithTeacher(PersonContrastiveMemory):
    needs_teacher: ClassVar[bool] = True


def make_regions(batch: SceneBatch) -> list[Regions]:
    """The first two boxes as detected ones, then all annotated ones."""
    targets = batch.targets
    rows = torch.arange(len(targets.boxes))
    return [Regions(targets.boxes[part], targets.scene[part], part) for part in (rows[:2], rows)]


def test_each_name_builds_its_class_with_the_configured_values() -> None:
    oim = build_reid_loss("oim", CONFIG, identities=4, dims=8)
    assert type(oim) is OIM
    assert not oim.needs_teacher
    assert (oim.table.shape, oim.queue.shape) == ((4, 8), (6, 8))
    assert (oim.logit_scale, oim.momentum) == (3.0, 0.25)
    contrastive = build_reid_loss("contrastive", CONFIG, identities=4, dims=8)
    assert type(contrastive) is PersonContrastiveMemory
    assert contrastive.needs_teacher
    assert contrastive.embeddings.shape == (6, 8)
    assert contrastive.logit_scale == 3.0


def test_an_unknown_name_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match=r"objective\.reid_loss 'triplet' is unknown; choose contrastive, oim"):
        SPNetLoss(replace(CONFIG, reid_loss="triplet"), make_network(), identities=2)


def test_oim_loss_is_against_the_memory_before_the_step() -> None:
    batch = make_batch()
    loss = OIM(2, 8, 6)
    torch.manual_seed(0)
    embeddings = torch.randn(7, 8, requires_grad=True)
    identity = batch.targets.identity[torch.tensor([0, 1, 0, 1, 2, 3, 4])]
    before, after = OIM(2, 8, 6), OIM(2, 8, 6)
    after.update(embeddings, identity, 7)
    value = loss.step(embeddings, batch, make_regions(batch), None, 4)
    torch.testing.assert_close(value, before(embeddings, identity))
    for name, expected in after.state_dict().items():
        torch.testing.assert_close(loss.state_dict()[name], expected)
    value.backward()
    assert embeddings.grad is not None


def test_the_teachers_embeddings_are_in_the_queue_before_the_loss() -> None:
    batch = make_batch()
    regions = make_regions(batch)
    torch.manual_seed(0)
    embeddings, taught = torch.randn(7, 8, requires_grad=True), torch.randn(7, 8)
    asked: list[Sequence[Places]] = []

    def teacher(runs: Sequence[Places]) -> Tensor:
        asked.append(runs)
        return taught

    loss = PersonContrastiveMemory(6, 8)
    value = loss.step(embeddings, batch, regions, teacher, 2)
    person = batch.targets.person[torch.tensor([0, 1, 0, 1, 2, 3, 4])]
    expected = PersonContrastiveMemory(6, 8)
    expected.update(taught, person)
    torch.testing.assert_close(value, expected(embeddings, person))
    [runs] = asked
    assert [len(boxes) for boxes, _ in runs] == [2, 5]
    assert torch.equal(runs[1][0], batch.targets.boxes)
    value.backward()
    assert embeddings.grad is not None


def test_the_objective_takes_any_registered_loss(dummy: type[ReidLoss]) -> None:
    network, batch = make_network(), make_batch()
    objective = SPNetLoss(replace(GROUND_TRUTH, reid_loss="dummy", detection=False), network, identities=2)
    assert type(objective.memory) is dummy
    assert objective.teacher is None
    embeddings = network.embed(network.features(batch.images, batch.sizes), batch.targets.boxes, batch.targets.scene)
    torch.testing.assert_close(objective(network, batch)["reid"], embeddings.square().sum() + 5)


def test_a_loss_that_needs_a_teacher_is_given_one() -> None:
    register("with-teacher")(DummyWithTeacher)
    try:
        objective = SPNetLoss(replace(GROUND_TRUTH, reid_loss="with-teacher"), make_network(), identities=2)
    finally:
        del reid._REGISTRY["with-teacher"]
    assert objective.teacher is not None
    assert torch.isfinite(objective(make_network(), make_batch())["reid"])


def test_no_boxes_give_a_loss_of_zero() -> None:
    batch = make_batch([])
    nothing = Regions(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
    embeddings = torch.zeros(0, 8, requires_grad=True)
    for loss in (OIM(2, 8, 6), PersonContrastiveMemory(6, 8)):
        value = loss.step(embeddings, batch, [nothing, nothing], lambda runs: torch.zeros(0, 8), 0)
        assert value.item() == 0
        value.backward()
