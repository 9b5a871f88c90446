-- The key of the row at a place of the heap.
SELECT concat_ws(',', {key}) FROM ONLY {table} s WHERE s.ctid = {place}::tid
