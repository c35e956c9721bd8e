"""Person search with the Swap Path Network: find every person in a gallery of scenes, ranked against one query."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["Found", "ModelConfig", "Ranking", "Searcher"]


def __getattr__(name: str) -> Any:
    """Load the network's code when it is first asked for: the command line should answer quickly."""
    if name in ("Searcher", "Found", "Ranking"):
        from spnet.inference import searcher

        return getattr(searcher, name)
    if name == "ModelConfig":
        from spnet.config.schema import ModelConfig

        return ModelConfig
    raise AttributeError(f"module 'spnet' has no attribute {name!r}")
