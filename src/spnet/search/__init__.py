"""Networks at work on pictures: over a prepared data set for evaluation, over a person's own pictures."""
