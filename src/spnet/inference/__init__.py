"""Networks at work on images: over a prepared data set for evaluation, over a person's own images."""
