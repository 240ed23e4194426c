"""`livecache doctor`: what has to be right for a service to run, tried one by one."""

__all__: list[str] = []
