"""How the service is: health, metrics, repair, reload."""

__all__: list[str] = []
