-- Keeps the two columns of a reference that holds keys of several types as text: the side that follows is the other key of the
-- row that the leading side names, and the leading value itself where it names none, or is a key of another type. SECURITY DEFINER.
-- What it cannot see yet is noted: swap makes it right when the parent is there (swap.ddl.pairs).
DECLARE
    swap_key {key_type};
    swap_mapped text;
    swap_same boolean := false;
BEGIN
{fired_by}    IF TG_OP = 'UPDATE' THEN
        swap_same := NEW.{leader} IS NOT DISTINCT FROM OLD.{leader} AND ({applies}) = ({applied});
        IF swap_same AND NEW.{follower} IS NOT DISTINCT FROM OLD.{follower} AND (NEW.{leader} IS NULL OR NEW.{follower} IS NOT NULL) THEN
            RETURN NEW;
        END IF;
    END IF;
    IF NEW.{leader}::text ~ {pattern} AND ({applies}) THEN
        swap_key := NEW.{leader}::text::{key_type};
    END IF;
    IF swap_key IS NULL THEN
        NEW.{follower} := NEW.{leader};
        RETURN NEW;
    END IF;
    swap_mapped := {resolver}(swap_key)::text;
    IF swap_mapped IS NOT NULL THEN
        NEW.{follower} := swap_mapped;
    ELSIF swap_same AND OLD.{follower} IS NOT NULL THEN
        NEW.{follower} := OLD.{follower};
    ELSE
        NEW.{follower} := {unknown};
    END IF;
{noted}    RETURN NEW;
END
