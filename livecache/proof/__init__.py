"""One series: what is known of each bucket, and what proves it. Pure."""
