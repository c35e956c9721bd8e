"""A released checkpoint, read, renamed, checked against our network, and written as a weights file."""

from pathlib import Path

from spnet.config.schema import PathwayName
from spnet.models.checkpoint_conversion import GALLERY_FILTER, infer_config, released_to_ours
from spnet.models.checkpoints import CLASSIFIER, load_state, save_weights
from spnet.models.pretrained import State, read_state
from spnet.models.spnet import SPNet

NOT_THE_NETWORK = ("teacher.", "memory.", "initial_backbone.", *CLASSIFIER)


def convert_released(source: Path, output: Path, pathway: PathwayName | None, logit_sign: str = "negative") -> str:
    """Write the network of a released checkpoint; returns a line on what it is.

    Args:
        source: a Lightning file with `state_dict`, or a plain table of tensors.
        output: the weights file to make.
        pathway: how it was trained; if not given, query-centric where the bridge is zero, as that training leaves it.
        logit_sign: sign of the class logit, which shapes do not show.

    Raises:
        UserError: an unreadable file, or keys that are not of this release.
    """
    released = read_state(source)
    config = infer_config(released, logit_sign, str(source))
    state = released_to_ours(released, str(source))
    network = SPNet(config)
    own = {name: value for name, value in state.items() if not name.startswith(NOT_THE_NETWORK)}
    line = load_state(network, own, str(source), _has_no_counterpart)
    trained = pathway or _trained_path(own)
    save_weights(output, network, trained)
    filters = sum(name.removeprefix("model.").startswith(GALLERY_FILTER) for name in released)
    left_out = f"; {filters} tensors of the gallery filter ({GALLERY_FILTER}*) left out" if filters else ""
    return (
        f"{line}{left_out}; {config.backbone.name}, {config.heads} heads, {config.cascade_steps} cascade steps, "
        f"D {config.location_dim}, E {config.reid_dim}, {trained}-centric -> {output}"
    )


def _trained_path(state: State) -> PathwayName:
    return "object" if any(value.any() for name, value in state.items() if name.startswith("bridges.")) else "query"


def _has_no_counterpart(name: str) -> bool:
    """A separate model without a cascade may be released without the location head that only queries use."""
    return name.startswith("locations.0.")
