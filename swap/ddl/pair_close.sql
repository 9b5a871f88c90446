-- Takes the notes of some values on. A value that no row has any more, or whose rows are right, is done.
WITH judged AS MATERIALIZED ({judged}),
    state AS (
        SELECT v.value, coalesce(j.wrong, false) AS wrong, coalesce(j.waits, false) AS waits
        FROM unnest({values}::text[]) v (value) LEFT JOIN judged j (value, wrong, waits) ON j.value = v.value
    ),
    done AS (
        DELETE FROM {pairs} p USING state s
        WHERE p.number = {number} AND p.value = s.value AND p.stage = 'now' AND NOT s.wrong AND (p.noted <> '' OR NOT s.waits AND p.since IS NULL)
    ),
    waiting AS (
        INSERT INTO {pairs} AS p (number, value, noted, stage)
        SELECT {number}, s.value, '', 'waits' FROM state s WHERE s.waits AND NOT s.wrong
        ON CONFLICT (value, number, noted) DO UPDATE
        SET stage = CASE WHEN p.since IS NULL THEN 'waits' ELSE 'snapshots' END WHERE p.stage = 'now'
    ),
    held AS (
        UPDATE {pairs} p SET stage = 'snapshots' FROM state s
        WHERE p.number = {number} AND p.value = s.value AND p.stage = 'now' AND p.noted = '' AND p.since IS NOT NULL AND NOT s.wrong AND NOT s.waits
    )
SELECT coalesce(bool_or(wrong), false) FROM state
