"""What goes wrong at a simulated venue, by script or at random."""

__all__: list[str] = []
