"""Cutover, revert, finalize, abort: gates, the snapshot hook, and one transaction that exchanges the names."""
