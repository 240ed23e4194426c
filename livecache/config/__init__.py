"""File, environment and flags, to frozen structs."""

__all__: list[str] = []
