"""The state schema: the journal of a run, its tables, what is missing in it, and what an executor holds."""
