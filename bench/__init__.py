"""How fast it is and what it costs, against what others would build: `python -m bench` (make bench)."""
