"""Row-level verification: one database, one snapshot, no difference tolerated, no unfinished comparison called a success."""
