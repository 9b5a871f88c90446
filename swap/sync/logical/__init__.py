"""Capture by logical replication: the stream of committed changes, turned into entries of the change table."""
