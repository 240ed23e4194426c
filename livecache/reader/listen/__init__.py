"""Listening for all who follow by one reader, at one server or at each node of a cluster."""
