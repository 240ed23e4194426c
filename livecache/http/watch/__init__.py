"""How the service is: health, metrics, repair, reload."""
