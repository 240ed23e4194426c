"""Deribit as a face of the simulated market."""

__all__: list[str] = []
