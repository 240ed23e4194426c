"""What readers decide, without a socket: what to ask for, and what the replies mean."""
