"""The state schema: the journal of a run, its tables, its versions, the check for missing tables, and the `Migration`."""
