-- Rows that the backfill will update, and that a constraint which was never validated would refuse.
SELECT count(*) AS rows FROM {table} WHERE NOT ({expression}) AND ({updated})
