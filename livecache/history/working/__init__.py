"""What the worker is made of."""
