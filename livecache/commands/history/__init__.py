"""What `livecache history` does."""
