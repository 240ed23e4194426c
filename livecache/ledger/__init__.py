"""One venue's truth: its symbols, with all their series together. Pure."""
