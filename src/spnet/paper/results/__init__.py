"""From finished runs to tables and charts."""
