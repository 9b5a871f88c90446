-- Keeps the pair (integer, uuid) of one reference together: fills the missing side, follows the side that
-- changed, rejects a contradiction. SECURITY DEFINER, so a policy of the table cannot hide the row from it.
-- Variables have names that no column has: in the condition and in an UPDATE a column of the same name would be ambiguous.
DECLARE
    swap_mapped uuid;
    swap_int_changed boolean := true;
    swap_uuid_changed boolean := true;
    swap_known boolean := false;
BEGIN
{fired_by}    IF NOT ({applies}) THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        swap_int_changed := NEW.{integer} IS DISTINCT FROM OLD.{integer};
        swap_uuid_changed := NEW.{uuid} IS DISTINCT FROM OLD.{uuid};
        IF NOT swap_int_changed AND NOT swap_uuid_changed AND NOT ({applied}) THEN
            swap_{leader}_changed := true; -- the row was not a reference before: its other side may be of another time
        END IF;
        IF NOT swap_int_changed AND NOT swap_uuid_changed AND NEW.{integer} IS NOT NULL AND NEW.{uuid} IS NOT NULL THEN
            RETURN NEW;
        ELSIF swap_{leader}_changed AND NOT swap_{follower}_changed THEN
            NEW.{follower_column} := NULL;
        ELSIF swap_{follower}_changed AND NOT swap_{leader}_changed AND NEW.{follower_column} IS NOT NULL THEN
            NEW.{leader_column} := NULL;
        END IF;
    END IF;
    IF {is_itself} THEN
{own_key}        NEW.{integer} := {self_integer};
        NEW.{uuid} := {self_uuid};
        RETURN NEW;
    END IF;
    IF NEW.{integer} IS NOT NULL THEN
        SELECT t.{live_uuid} INTO swap_mapped FROM {live} t WHERE t.{live_integer} = NEW.{integer};
        swap_known := FOUND;
        IF NEW.{uuid} IS NULL THEN
            NEW.{uuid} := swap_mapped;
        ELSIF swap_mapped <> NEW.{uuid} THEN
            RAISE EXCEPTION '% = % and % = % are two different rows of %',
                {integer_label}, NEW.{integer}, {uuid_label}, NEW.{uuid}, {live_label}
                USING ERRCODE = 'check_violation', CONSTRAINT = 'swap_guard', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
        END IF;
    ELSIF NEW.{uuid} IS NOT NULL THEN
        SELECT t.{live_integer} INTO NEW.{integer} FROM {live} t WHERE t.{live_uuid} = NEW.{uuid};
        swap_known := FOUND;
    ELSE
        RETURN NEW;
    END IF;
    IF NOT swap_known AND TG_OP = 'UPDATE' AND NEW.{leader_column} IS NULL THEN
        NEW.{leader_column} := OLD.{leader_column};  -- the changed side names nobody: its own constraints judge it
    ELSIF NOT swap_known AND {required} AND NEW.{leader_column} IS NOT NULL AND NEW.{follower_column} IS NULL THEN
        -- Nobody yet: the foreign key's check at the end of the statement decides, not a NOT NULL that only this
        -- migration added. If the row comes until then, the completing trigger puts the right key here.
        NEW.{follower_column} := {placeholder};
    END IF;
    RETURN NEW;
END
