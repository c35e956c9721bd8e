"""Report pages: one HTML file each, from Jinja2 templates, that opens from disk."""
