"""What is read of years of candles: from both tiers, or added up from smaller ones."""
