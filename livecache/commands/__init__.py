"""What the commands do: one module a command."""

__all__: list[str] = []
