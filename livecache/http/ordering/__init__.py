"""Work on years of candles: ordered, told, cancelled and tried again. All of it by the file."""
