"""Makes this folder importable, so that tests of several rooms share `miniature`."""
