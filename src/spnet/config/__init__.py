"""Configuration: one typed schema, the presets, and how it is read and written."""
