"""Fuzzing of everything that decodes what others wrote: `python -m tests.fuzz --help`."""
