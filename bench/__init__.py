"""The benchmark: `python -m bench`. Every number is a ratio of two things measured in one run on one server."""
