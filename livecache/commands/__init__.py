"""What the commands that look at the cache show: one module a command."""

__all__: list[str] = []
