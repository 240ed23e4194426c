"""What is peculiar to shares: the sessions of their exchanges, splits and dividends. Pure, and small."""
