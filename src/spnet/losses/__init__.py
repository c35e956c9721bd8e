"""Losses and their memories; importing the room registers its re-id losses (`spnet.losses.reid`)."""

from spnet.losses import oim, person_contrastive

__all__ = ["oim", "person_contrastive"]
