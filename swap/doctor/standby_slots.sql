-- Slots of standbys that a failover slot waits for (17 and newer), and that are not connected.
SELECT w.name FROM unnest(string_to_array(replace(current_setting('synchronized_standby_slots', true), ' ', ''), ',')) w(name)
LEFT JOIN pg_replication_slots s ON s.slot_name = w.name AND s.slot_type = 'physical'
WHERE w.name <> '' AND s.active IS NOT TRUE ORDER BY w.name
