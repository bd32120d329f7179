"""What people look at: documents in, Vega-Lite specifications (plain dicts) and pictures of them out. Pure."""
