"""The command line's commands, one module per kind of person; `starter.py` puts them together."""
