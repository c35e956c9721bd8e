"""`spnet demo`: the whole of person search in minutes."""
