"""Phases 1 to 3: identity column, reference columns, shadow table, guards and capture."""
