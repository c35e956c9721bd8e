"""Runs on disk: their folder, their record, and what they depend on."""
