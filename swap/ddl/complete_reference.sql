-- Completes a pair whose other row was not there yet when the BEFORE trigger looked: a child written before its
-- parent, in one statement or under a deferred foreign key. Fires before the foreign key's own check.
DECLARE
    swap_mapped {follower_type};
BEGIN
{fired_by}    IF NOT ({applies}) THEN
        RETURN NULL;
    END IF;
    SELECT t.{live_follower} INTO swap_mapped FROM {live} t WHERE t.{live_leader} = NEW.{leader_column};
    IF swap_mapped IS NOT NULL AND swap_mapped IS DISTINCT FROM NEW.{follower_column} THEN
        UPDATE {target} r SET {follower_column} = swap_mapped
        WHERE r.{leader_column} = NEW.{leader_column} AND (r.{follower_column} IS NULL OR r.{follower_column} = {placeholder});
    END IF;
    RETURN NULL;
END
