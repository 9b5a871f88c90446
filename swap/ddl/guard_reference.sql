-- Keeps the pair (integer, uuid) of one reference together: fills the missing side, follows the side that
-- changed, rejects a contradiction. SECURITY DEFINER, so a policy of the table cannot hide the row from it.
-- What it cannot see yet stays NULL and is noted: swap fills it when the parent is there (swap.ddl.pairs).
-- Variables have names that no column has: in the condition a column of the same name would be ambiguous.
DECLARE
    swap_mapped {follower_type};
    swap_leader_changed boolean := true;
    swap_follower_changed boolean := true;
    swap_known boolean := false;
    swap_judged boolean := false;
    swap_wrong boolean := false;
BEGIN
{fired_by}    IF NOT ({applies}) THEN
{another_type}        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        swap_leader_changed := NEW.{leader} IS DISTINCT FROM OLD.{leader};
        swap_follower_changed := NEW.{follower} IS DISTINCT FROM OLD.{follower};
        IF NOT swap_leader_changed AND NOT swap_follower_changed AND NOT ({applied}) THEN
            -- The row was not a reference before: the side that follows may be of another time.
            swap_leader_changed := NEW.{leader} IS NOT NULL;
            swap_follower_changed := NOT swap_leader_changed;
        END IF;
        IF NOT swap_leader_changed AND NOT swap_follower_changed AND NEW.{leader} IS NOT NULL AND NEW.{follower} IS NOT NULL THEN
            RETURN NEW;
        ELSIF swap_leader_changed AND NOT swap_follower_changed THEN
            NEW.{follower} := NULL;
        ELSIF swap_follower_changed AND NOT swap_leader_changed AND NEW.{follower} IS NOT NULL THEN
            NEW.{leader} := NULL;
        ELSIF swap_follower_changed AND NOT swap_leader_changed AND current_setting('swap.settling', true) = 'on' THEN
            RETURN NEW; -- rows that exchange a unique value: all of them give theirs up first
{cleared}        END IF;
    END IF;
    IF {is_itself} THEN
{own_key}        NEW.{integer} := {self_integer};
        NEW.{uuid} := {self_uuid};
        RETURN NEW;
    END IF;
    IF NEW.{leader} IS NULL AND NEW.{follower} IS NOT NULL THEN
        SELECT t.{live_leader} INTO NEW.{leader} FROM {live} t WHERE t.{live_follower} = NEW.{follower};
        swap_known := FOUND;
        IF NOT swap_known AND TG_OP = 'UPDATE' THEN -- the changed side names nobody: does the other one name a row?
            NEW.{leader} := {leader_before};
            swap_judged := {follower_judged};
        END IF;
    END IF;
    IF NOT swap_known AND NEW.{leader} IS NOT NULL THEN
        SELECT t.{live_follower} INTO swap_mapped FROM {live} t WHERE t.{live_leader} = NEW.{leader};
        swap_known := swap_mapped IS NOT NULL;
        IF NEW.{follower} IS NULL THEN
            NEW.{follower} := swap_mapped;
        ELSIF swap_known THEN
            swap_wrong := swap_mapped <> NEW.{follower} AND NOT swap_judged;
        ELSE
            PERFORM FROM {live} t WHERE t.{live_follower} = NEW.{follower};
            swap_wrong := FOUND AND NOT {leader_judged};
        END IF;
        IF swap_wrong THEN
            RAISE EXCEPTION '% = % and % = % are not of one row of %',
                {integer_label}, NEW.{integer}, {uuid_label}, NEW.{uuid}, {live_label}
                USING ERRCODE = 'check_violation', CONSTRAINT = 'swap_guard', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
        END IF;
    END IF;
{noted}    RETURN NEW;
END
