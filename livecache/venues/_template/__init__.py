"""What to copy for a new venue: see docs/adding-a-venue.md. It works, against the tests' toy venue."""
