-- Which of these transactions wrote a row of the journal as well: everything else that they wrote is swap's own work.
SELECT j.xid FROM (SELECT xmin::text::bigint AS xid FROM {step}
                   UNION ALL SELECT xmin::text::bigint FROM {attempt}
                   UNION ALL SELECT xmin::text::bigint FROM {event}) j
WHERE j.xid = ANY ({xids}::bigint[])
