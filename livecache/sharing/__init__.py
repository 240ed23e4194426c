"""Several processes share the symbols of one venue: who is to hold which shard of them."""
