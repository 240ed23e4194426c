"""Deribit as a face of the simulated market."""
