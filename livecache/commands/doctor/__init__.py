"""`livecache doctor`: what has to be right for a service to run, tried one by one."""
