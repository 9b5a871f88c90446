"""The benchmark: `python -m bench`. Every number is a ratio of two measurements of one run on one server."""
