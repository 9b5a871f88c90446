"""Capture's queue, backfill, replay, and the loop that keeps the maintained side equal to the captured one."""
