"""Several processes that share a venue."""
