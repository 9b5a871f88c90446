"""Row-level verification: same database, one snapshot, nothing tolerated, nothing unfinished called a success."""
