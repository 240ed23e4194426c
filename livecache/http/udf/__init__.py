"""TradingView's UDF: what charting libraries ask a data feed over HTTP, of what any reader reads."""
