"""What a store keeps beside candles and jobs."""
