-- How far the statement of a session is, where the server counts that. Every role may see it of its own sessions.
SELECT w.phase, CASE WHEN w.total > 0 THEN 100 * w.done / w.total END AS percent
FROM (SELECT p.pid, p.phase, CASE WHEN p.tuples_total > 0 THEN p.tuples_done ELSE p.blocks_done END,
             CASE WHEN p.tuples_total > 0 THEN p.tuples_total ELSE p.blocks_total END FROM pg_stat_progress_create_index p
      UNION ALL SELECT p.pid, p.phase, p.heap_blks_scanned, p.heap_blks_total FROM pg_stat_progress_vacuum p
      UNION ALL SELECT p.pid, p.phase, p.sample_blks_scanned, p.sample_blks_total FROM pg_stat_progress_analyze p) w(pid, phase, done, total)
WHERE w.pid = %(pid)s
