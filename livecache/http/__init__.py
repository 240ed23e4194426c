"""The HTTP server of a running service: health, metrics, and whatever else is served to people and machines.

To serve something more, write a handler beside `watch/health.py` or in `api/`, and name it in `routes.py`.
"""
