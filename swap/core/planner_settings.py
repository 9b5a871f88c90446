"""What a transaction tells PostgreSQL's planner before statements that fetch a few rows by their keys."""

from __future__ import annotations

NESTED_LOOPS = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
ANY_PLAN = "SET LOCAL enable_seqscan = DEFAULT; SET LOCAL enable_hashjoin = DEFAULT; SET LOCAL enable_mergejoin = DEFAULT"
