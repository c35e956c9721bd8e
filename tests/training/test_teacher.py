"""The teacher: a moving average that takes no gradient, follows no stochastic depth, and normalizes by its batch."""

from dataclasses import replace

import pytest
import torch
from timm.layers.drop import DropPath

from miniature import BACKBONE, make_batch, make_network
from spnet.config.schema import BackboneConfig
from spnet.models.spnet import SPNet
from spnet.training.teacher import Teacher


@pytest.fixture
def student() -> SPNet:
    return make_network(heads="separate", reid_dim=12)


def move(network: SPNet) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter))


def test_follow_is_the_naive_average(student: SPNet) -> None:
    teacher = Teacher(student, 0.9)
    expected = {name: value.clone() for name, value in teacher.named_parameters()}
    theirs = dict(student.named_parameters())
    assert set(expected) == {name for name in theirs if name.startswith(("backbone.", "fpn.", "reid."))}
    for _ in range(5):
        move(student)
        for name, value in expected.items():
            value.copy_(0.9 * value + 0.1 * theirs[name].detach())
        teacher.ema_update()
    for name, value in teacher.named_parameters():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-5)


def test_a_small_step_is_not_lost_to_rounding(student: SPNet) -> None:
    teacher = Teacher(student, 0.9999)
    before = {name: value.double().clone() for name, value in teacher.named_parameters()}
    move(student)
    for _ in range(100):
        teacher.ema_update()
    theirs = dict(student.named_parameters())
    for name, value in teacher.named_parameters():
        target = theirs[name].double()
        expected = target + (before[name] - target) * 0.9999**100
        torch.testing.assert_close(value.double(), expected, rtol=1e-3, atol=1e-4)


def test_it_starts_as_the_student_and_shares_nothing(student: SPNet) -> None:
    teacher = Teacher(student, 0.9)
    theirs = dict(student.named_parameters())
    for name, value in teacher.named_parameters():
        assert torch.equal(value, theirs[name])
        assert value.data_ptr() != theirs[name].data_ptr()
        assert not value.requires_grad
    batch = make_batch()
    places = batch.targets.boxes, batch.targets.scene
    taught = teacher.embed(teacher.features(batch), [places])
    assert not taught.requires_grad
    torch.testing.assert_close(taught, student.embed(student.features(batch.images, batch.sizes), *places))


def test_each_run_has_its_own_batch_statistics(student: SPNet) -> None:
    teacher = Teacher(student, 0.9).train()
    batch = make_batch()
    boxes, scene = batch.targets.boxes, batch.targets.scene
    features = teacher.features(batch)
    together = teacher.embed(features, [(boxes, scene), (boxes[:3], scene[:3])])
    assert together.shape == (8, 12)
    for rows in (together[:5], together[5:]):
        torch.testing.assert_close(rows.mean(0), torch.zeros(12), rtol=0, atol=1e-5)
    teacher.reid.get_buffer("project_input.1.running_mean").fill_(1e3)
    torch.testing.assert_close(teacher.embed(features, [(boxes, scene)]), together[:5])


def test_no_boxes_give_no_embeddings(student: SPNet) -> None:
    nothing = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    teacher = Teacher(student, 0.9)
    assert teacher.embed(teacher.features(make_batch()), [nothing, nothing]).shape == (0, 12)


def test_stochastic_depth_is_the_students_alone() -> None:
    backbone: BackboneConfig = replace(BACKBONE, drop_path=0.9)
    student = make_network(backbone=backbone)
    teacher = Teacher(student, 0.9).train()
    assert any(isinstance(module, DropPath) and module.drop_prob > 0 for module in student.modules())
    batch = make_batch()
    places = batch.targets.boxes, batch.targets.scene
    taught = [teacher.embed(teacher.features(batch), [places]) for _ in range(2)]
    torch.testing.assert_close(*taught)
    first = student.embed(student.features(batch.images, batch.sizes), *places)
    assert not torch.allclose(first, student.embed(student.features(batch.images, batch.sizes), *places))
