"""What one writer sends, each under its lease: changes, closes, signs of life."""
