"""HTML report pages that open from disk."""
