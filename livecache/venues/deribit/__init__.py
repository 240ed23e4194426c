"""Deribit: futures, perpetuals, options and spot, by JSON-RPC over HTTP and over a websocket.

What is known of it, by whom, and what is not, is in docs/venues.md.
"""
