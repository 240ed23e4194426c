"""What may be wrong with years of candles: the rules of `livecache check --history`. Pure; needs numpy."""
