"""Online instance matching, against a loop over the samples: loss, table, queue and position."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from spnet.losses.oim import OIM


class NaiveOIM:
    """One sample after the other, as the specification says it."""

    def __init__(self, memory: OIM) -> None:
        self.table, self.queue = memory.table.clone(), memory.queue.clone()
        self.position = int(memory.position)
        self.logit_scale, self.momentum = memory.logit_scale, memory.momentum

    def loss(self, embeddings: Tensor, identity: Tensor) -> Tensor:
        rows = torch.cat([self.table, self.queue])
        total = embeddings.new_zeros(())
        for embedding, own in zip(embeddings, identity.tolist(), strict=True):
            if own < 0:
                continue
            unit = embedding / embedding.norm()
            cosines = []
            for number, row in enumerate(rows):
                empty = bool((row == 0).all())
                cosines.append((1.0 if number == own else -1.0) * torch.ones(()) if empty else unit @ row)
            logits = torch.stack(cosines) * self.logit_scale
            total = total + logits.logsumexp(0) - logits[own]
        return total / max(1, len(embeddings))

    def update(self, embeddings: Tensor, identity: Tensor) -> None:
        for embedding, own in zip(embeddings, identity.tolist(), strict=True):
            unit = embedding / embedding.norm()
            if own < 0:
                self.queue[self.position] = unit
                self.position = (self.position + 1) % len(self.queue)
            else:
                mixed = self.momentum * self.table[own] + (1 - self.momentum) * unit
                self.table[own] = mixed / mixed.norm()

    def check(self, memory: OIM) -> None:
        torch.testing.assert_close(memory.table, self.table, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(memory.queue, self.queue, atol=1e-6, rtol=1e-5)
        assert int(memory.position) == self.position


# identities, places of the queue, samples of a step, momentum
STREAMS: dict[str, dict[str, Any]] = {
    "plain": {"identities": 20, "places": 30, "samples": 12, "momentum": 0.5},
    "the same persons again and again": {"identities": 2, "places": 5, "samples": 40, "momentum": 0.9},
    "more strangers than places": {"identities": 4, "places": 3, "samples": 20, "momentum": 0.5},
    "one place": {"identities": 3, "places": 1, "samples": 6, "momentum": 0.2},
    "no memory of itself": {"identities": 3, "places": 4, "samples": 9, "momentum": 0.0},
}


@pytest.mark.parametrize("name", STREAMS)
def test_random_streams_are_the_loop(name: str) -> None:
    stream = STREAMS[name]
    generator = torch.Generator().manual_seed(3)
    memory = OIM(stream["identities"], 6, stream["places"], logit_scale=10.0, momentum=stream["momentum"])
    naive = NaiveOIM(memory)
    for step in range(12):
        samples = 0 if step == 5 else stream["samples"]
        identity = torch.randint(-3, stream["identities"], (samples,), generator=generator).clamp(min=-1)
        embeddings = torch.randn(samples, 6, generator=generator) * 3
        assert memory(embeddings, identity).item() == pytest.approx(naive.loss(embeddings, identity).item(), rel=1e-4)
        memory.update(embeddings, identity)
        naive.update(embeddings, identity)
        naive.check(memory)


def test_the_order_of_samples_matters_and_is_kept() -> None:
    embeddings, identity = torch.eye(3), torch.tensor([0, 0, 0])
    memory = OIM(1, 3, 2)
    memory.update(embeddings, identity)
    # (1, 0, 0), then half of it with (0, 1, 0), normalized, then half of that with (0, 0, 1)
    expected = normalize(0.5 * normalize(torch.tensor([0.5, 0.5, 0]), dim=0) + torch.tensor([0, 0, 0.5]), dim=0)
    torch.testing.assert_close(memory.table[0], expected)
    backwards = OIM(1, 3, 2)
    backwards.update(embeddings.flip(0), identity)
    assert not torch.allclose(memory.table, backwards.table, atol=1e-2)


def test_gradient_is_that_of_the_loop_and_the_memory_gets_none() -> None:
    generator = torch.Generator().manual_seed(5)
    memory = OIM(4, 6, 3, logit_scale=5.0)
    memory.update(torch.randn(9, 6, generator=generator), torch.tensor([0, 1, -1, 2, -1, 0, -1, -1, 2]))
    embeddings = torch.randn(5, 6, generator=generator, requires_grad=True)
    identity = torch.tensor([0, -1, 2, 3, 1])  # the row of 3 is empty
    (ours,) = torch.autograd.grad(memory(embeddings, identity), embeddings)
    (theirs,) = torch.autograd.grad(NaiveOIM(memory).loss(embeddings, identity), embeddings)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)
    assert ours[1].abs().sum() == 0
    assert not memory.table.requires_grad


def test_nothing_gives_zero_that_goes_backward() -> None:
    memory = OIM(3, 4, 2)
    embeddings = torch.zeros(0, 4, requires_grad=True)
    loss = memory(embeddings, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    memory.update(embeddings, torch.zeros(0, dtype=torch.int64))
    assert memory.table.abs().sum() == 0


def test_unknown_persons_take_no_loss_but_count_in_the_mean() -> None:
    memory = OIM(2, 4, 2)
    memory.update(torch.eye(4)[:2], torch.tensor([0, 1]))
    alone = memory(torch.ones(1, 4), torch.tensor([0]))
    assert memory(torch.ones(4, 4), torch.tensor([0, -1, -1, -1])).item() == pytest.approx(alone.item() / 4)


def test_no_queue_and_no_known_identities() -> None:
    without_queue = OIM(2, 4, 0)
    without_queue.update(torch.eye(4), torch.tensor([0, -1, 1, -1]))
    torch.testing.assert_close(without_queue.table, torch.eye(4)[[0, 2]])
    strangers_only = OIM(0, 4, 2)
    strangers_only.update(torch.eye(4)[:1], torch.tensor([-1]))
    assert strangers_only(torch.eye(4)[:1], torch.tensor([-1])).item() == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_samples_that_are_not_finite_do_not_enter(bad: float) -> None:
    memory, clean = OIM(2, 3, 4), OIM(2, 3, 4)
    samples, identity = torch.randn(6, 3), torch.tensor([0, 1, 0, -1, -1, 1])
    spoilt = samples.clone()
    spoilt[[2, 3]] = bad
    memory.update(spoilt, identity)
    clean.update(samples[[0, 1, 4, 5]], identity[[0, 1, 4, 5]])
    for name, value in clean.state_dict().items():
        torch.testing.assert_close(memory.state_dict()[name], value)


def test_state_holds_memory_and_position() -> None:
    memory = OIM(2, 4, 3)
    memory.update(torch.eye(4), torch.tensor([-1, 0, -1, 1]))
    assert set(memory.state_dict()) == {"table", "queue", "position"}
    again = OIM(2, 4, 3)
    again.load_state_dict(memory.state_dict())
    again.update(torch.eye(4)[3:], torch.tensor([-1]))
    assert int(again.position) == 0
    torch.testing.assert_close(again.queue[2], torch.eye(4)[3])


def test_half_precision_embeddings_are_compared_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    memory = OIM(5, 64, 4)
    memory.update(torch.randn(5, 64, generator=generator), torch.arange(5))
    embeddings, identity = torch.randn(6, 64, generator=generator).bfloat16(), torch.tensor([0, 1, 2, 3, 4, -1])
    with torch.autocast("cpu", torch.bfloat16):
        loss = memory(embeddings, identity)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(memory(embeddings.float(), identity).item(), rel=1e-6)
