"""How a Redis server is reached, asked and understood when it refuses."""
