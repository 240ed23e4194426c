"""Deep history beside the live service: filled in the background, and what is settled is copied."""
