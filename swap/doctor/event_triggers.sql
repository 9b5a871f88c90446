SELECT e.evtname::text, e.evtevent::text, e.evtfoid::regprocedure::text FROM pg_event_trigger e
WHERE e.evtenabled <> 'D' AND e.evtevent IN ('ddl_command_start', 'ddl_command_end', 'sql_drop', 'table_rewrite')
ORDER BY 1
