"""How the process lives: logs, progress, signals, its supervisor, a new configuration."""
