"""Over a real Redis Cluster."""
