"""From pre-training to fine-tuning: which weights go where (SPEC section 3; supplementary section 9.2)."""

import re
from dataclasses import replace
from pathlib import Path

from spnet.config import ModelConfig
from spnet.model.network import SPNet
from spnet.model.trunk_weights import State
from spnet.model.weights import CLASSIFIER, Weights, load_state, read_weights
from spnet.training.config import RunConfig, WeightsConfig

LAST_STAGE = "reid.pooling.last_stage."
PROJECTIONS = ("reid.project_input.", "reid.project_output.")


def build_network(config: RunConfig) -> tuple[SPNet, str]:
    """The network a run starts from, and a line on where its weights come from.

    Raises:
        UserError: weights that do not exist or do not fit.
    """
    model = config.model
    forgetting = config.objective.forgetting
    if config.weights.source is None:
        return SPNet(model, with_classifier=forgetting), f"weights: trunk {model.trunk.weights}, the rest random"
    # further location heads start as copies of the initial trunk's last stage; everything else is replaced
    further_heads = model.heads == "separate" and model.cascade_steps > 1 and not config.weights.replicate
    needs_trunk = forgetting or further_heads
    trunk = model.trunk if needs_trunk else replace(model.trunk, weights="none")
    network = SPNet(replace(model, trunk=trunk), with_classifier=forgetting)
    network.config = model
    return network, transfer(network, read_weights(Path(config.weights.source)), config.weights)


def transfer(network: SPNet, weights: Weights, config: WeightsConfig) -> str:
    """Load pre-trained weights into a network that may be larger; returns one line of counts.

    The bridge stays fresh after query-centric pre-training, which never trained it. From shared to separate heads the
    last stage's copy goes into the re-id head and the first location head, and the projections stay fresh.

    Raises:
        UserError: keys that do not fit (unless `config.partial`).
    """
    target = network.config
    state = {name: value for name, value in weights.state.items() if not name.startswith(CLASSIFIER)}
    if weights.path == "query":
        state = {name: value for name, value in state.items() if not name.startswith("bridges.")}
    if weights.config.heads == "shared" and target.heads == "separate":
        state = _split_heads(state)
    if config.replicate:
        state = _replicate(state, target)
    return load_state(network, state, str(config.source), lambda name: _stays_fresh(name, weights), config.partial)


def _split_heads(state: State) -> State:
    separate = {name: value for name, value in state.items() if not name.startswith(PROJECTIONS)}
    copies = {
        name.replace("reid.", "locations.0.", 1): value for name, value in state.items() if name.startswith(LAST_STAGE)
    }
    return separate | copies


def _replicate(state: State, target: ModelConfig) -> State:
    """PT-Rep: class, box and bridge of step 0, and the first location head, into the later steps."""
    copies: State = {}
    for step in range(1, target.cascade_steps + 1):
        for name, value in state.items():
            if name.startswith(("bridges.0.", "logits.0.", "boxes.0.")):
                copies[name.replace(".0.", f".{step}.", 1)] = value
            if name.startswith("locations.0."):
                copies[name.replace(".0.", f".{step - 1}.", 1)] = value
    return copies | state


def _stays_fresh(name: str, weights: Weights) -> bool:
    """Whether the weights rightly have nothing for a key of the network."""
    source = weights.config
    if name.startswith(CLASSIFIER):
        return True
    if name.startswith("bridges.") and weights.path == "query":
        return True
    if source.heads == "shared" and name.startswith((*PROJECTIONS, "locations.")):
        return True
    step = re.match(r"^(bridges|logits|boxes|locations)\.(\d+)\.", name)
    if step is None:
        return False
    return (
        int(step[2]) > source.cascade_steps if step[1] != "locations" else int(step[2]) >= max(1, source.cascade_steps)
    )
