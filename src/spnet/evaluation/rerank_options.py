"""What `--rerank NAME:KEY=VALUE,...` means: the ways to re-rank by name, with their parameters."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from spnet.errors import UserError
from spnet.evaluation.context_matching import ContextMatching
from spnet.evaluation.gallery_filter import GalleryFilter
from spnet.evaluation.k_reciprocal import KReciprocal

Reranking = KReciprocal | ContextMatching | GalleryFilter


def parse_rerankings(texts: Sequence[str], scores: GalleryFilter | None = None) -> dict[str, Reranking]:
    """The ways to re-rank by name, from the texts of the option. `scores` are a gallery filter's, if there are any.

    Raises UserError for a name, a parameter or a value that is none, a name that comes twice, missing scores or SciPy.
    """
    found: dict[str, Reranking] = {}
    for text in texts:
        name, _, parameters = text.partition(":")
        try:
            if name in found:
                raise UserError("given twice")
            found[name] = _with_parameters(_default(name, scores), parameters)
        except UserError as error:
            raise UserError(f"--rerank {text}: {error}") from None
    return found


def parameters_of(reranking: Reranking) -> dict[str, float]:
    """The numbers that decide a re-ranking, by name."""
    return {field.name: getattr(reranking, field.name) for field in fields(reranking) if field.type in (int, float)}


def describe_reranking(name: str, reranking: Reranking) -> str:
    """The name with all parameters, as the option takes them."""
    return f"{name}:{','.join(f'{key}={value:g}' for key, value in parameters_of(reranking).items())}"


def _default(name: str, scores: GalleryFilter | None) -> Reranking:
    ways: dict[str, Reranking | None] = {
        "k-reciprocal": KReciprocal(),
        "cbgm": ContextMatching(),
        "gallery-filter": scores,
    }
    if name not in ways:
        raise UserError(f"there is no {name!r}; choose one of {', '.join(ways)}")
    way = ways[name]
    if way is None:
        raise UserError("there are no scores of a gallery filter (arrays filter_query, filter_score) to re-rank by")
    return way


def _with_parameters(way: Reranking, text: str) -> Reranking:
    known = parameters_of(way)
    values: dict[str, Any] = {}
    for part in text.split(",") if text else []:
        key, _, value = part.partition("=")
        if key not in known:
            raise UserError(f"there is no {key!r}; the parameters are {', '.join(known)}")
        kind = type(known[key])
        try:
            values[key] = kind(value)
        except ValueError:
            raise UserError(f"{key} is {value!r}, not {'a whole number' if kind is int else 'a number'}") from None
    return replace(way, **values)
