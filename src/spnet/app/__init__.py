"""A page on one's own machine to look for people in an index: `spnet app`."""
