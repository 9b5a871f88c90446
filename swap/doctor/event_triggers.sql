-- Event triggers that statements of the run fire.
SELECT e.evtname::text AS name, e.evtevent::text AS event, e.evtfoid::regprocedure::text AS function FROM pg_event_trigger e
WHERE e.evtenabled <> 'D' AND e.evtevent IN ('ddl_command_start', 'ddl_command_end', 'sql_drop', 'table_rewrite')
ORDER BY name
