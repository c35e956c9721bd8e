"""Fixtures of the model cases as our objects."""
