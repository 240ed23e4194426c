"""What is wrong with what is stored: the rules of `livecache check`, as pure functions over what was read."""
