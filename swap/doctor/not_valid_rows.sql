-- Rows that the backfill will update and that break a NOT VALID constraint.
SELECT count(*) AS rows FROM {table} WHERE NOT ({expression}) AND ({updated})
