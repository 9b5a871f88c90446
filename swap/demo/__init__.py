"""The example application, its load generator, and the ledger that says whether a write was lost."""
