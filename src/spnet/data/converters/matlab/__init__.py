"""Strict reading of MATLAB 5 files."""
