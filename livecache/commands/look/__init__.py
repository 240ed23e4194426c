"""The commands that look at what is stored."""

__all__: list[str] = []
