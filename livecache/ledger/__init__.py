"""One venue's truth: its symbols, with all their series together. Pure."""

__all__: list[str] = []
