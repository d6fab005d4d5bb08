"""The built-in strategies, all of them signal strategies; `catalog.py` knows their names."""
