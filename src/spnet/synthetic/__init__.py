"""Street scenes rendered from a seed: a person search data set that needs no download."""

from spnet.synthetic.dataset import check_counts, prepare_synthetic

__all__ = ["check_counts", "prepare_synthetic"]
