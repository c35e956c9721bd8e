"""A gallery of one's own images and videos: indexed once, then searched for people (docs/searching.md)."""
