"""A venue's budgets, shared by all processes behind one address or key: Redis gives out the slots."""
