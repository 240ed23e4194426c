"""What goes wrong at a simulated venue, by script or at random."""
