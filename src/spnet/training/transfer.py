"""From pre-training to fine-tuning: which weights go where (docs/method.md, "Training"; supplementary section 9.2)."""

import re
from dataclasses import replace

from spnet.config.schema import ModelConfig, RunConfig, WeightsConfig
from spnet.models.checkpoints import CLASSIFIER, Weights, load_state, read_weights
from spnet.models.pretrained import State
from spnet.models.spnet import SPNet

LAST_STAGE = "reid.pooling.last_stage."
PROJECTIONS = ("reid.project_input.", "reid.project_output.")


def build_network(config: RunConfig) -> tuple[SPNet, str]:
    """The network a run starts from, and a line on where its weights come from.

    Raises:
        UserError: weights that do not exist or do not fit.
    """
    model = config.model
    lwf = config.objective.lwf
    if config.weights.init_from is None:
        return SPNet(model, with_classifier=lwf), f"weights: backbone {model.backbone.weights}, the rest random"
    # further location heads start as copies of the initial backbone's last stage; everything else is replaced
    further_heads = model.heads == "separate" and model.cascade_steps > 1 and not config.weights.replicate
    needs_backbone = lwf or further_heads
    backbone = model.backbone if needs_backbone else replace(model.backbone, weights="none")
    network = SPNet(replace(model, backbone=backbone), with_classifier=lwf)
    network.config = model
    return network, transfer(network, read_weights(config.weights.init_from), config.weights)


def transfer(network: SPNet, weights: Weights, config: WeightsConfig) -> str:
    """Load pre-trained weights into a network that may be larger; returns one line of counts.

    The bridge stays fresh after query-centric pre-training, which never trained it. From shared to separate heads the
    last stage's copy goes into the re-id head and the first location head, and the projections stay fresh.

    Raises:
        UserError: keys that do not fit (unless `config.partial`).
    """
    target = network.config
    state = {name: value for name, value in weights.state.items() if not name.startswith(CLASSIFIER)}
    if weights.pathway == "query":
        state = {name: value for name, value in state.items() if not name.startswith("bridges.")}
    if weights.config.heads == "shared" and target.heads == "separate":
        state = _split_heads(state)
    if config.replicate:
        state = _replicate(state, target)
    return load_state(network, state, str(config.init_from), lambda name: _stays_fresh(name, weights), config.partial)


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
    if name.startswith("bridges.") and weights.pathway == "query":
        return True
    if source.heads == "shared" and name.startswith((*PROJECTIONS, "locations.")):
        return True
    step = re.match(r"^(bridges|logits|boxes|locations)\.(\d+)\.", name)
    if step is None:
        return False
    return (
        int(step[2]) > source.cascade_steps if step[1] != "locations" else int(step[2]) >= max(1, source.cascade_steps)
    )
