"""File, environment and flags, to frozen structs."""
