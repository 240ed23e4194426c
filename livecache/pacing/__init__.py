"""How fast a venue may be asked: its budgets as they are used, its pauses, its bans. Pure."""
