"""Yahoo as a face of a simulated market of shares."""
