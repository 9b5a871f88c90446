CREATE SCHEMA swap;
ALTER SCHEMA swap OWNER TO swap_owner;
COMMENT ON SCHEMA swap IS 'pg-uuid-swap state, version 4';
CREATE TYPE swap.phase AS ENUM (
    'preparing',
    'prepared',
    'backfilling',
    'syncing',
    'cut_over',
    'finalized',
    'aborted'
);
ALTER TYPE swap.phase OWNER TO swap_owner;
CREATE FUNCTION swap.users_16389_capture_forward() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
-- `gone`: the row left this key, so replay has to look whether it must be deleted.
-- Everything is named with its schema: the table, operators, types. So there is nothing that a search_path could change, and
-- the function needs no SET of its own, which would double the cost of a capture.
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'users'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'users'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.users'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    INSERT INTO "swap"."users_16389_changes_0" (key, gone) VALUES (NEW."id", false);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_capture_forward() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_capture_forward() IS 'swap, digest 837bd0726802d2fff67d0afd4fb3e144';
CREATE FUNCTION swap.users_16389_capture_reverse() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
-- `gone`: the row left this key, so replay has to look whether it must be deleted.
-- Everything is named with its schema: the table, operators, types. So there is nothing that a search_path could change, and
-- the function needs no SET of its own, which would double the cost of a capture.
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'users'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'users'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.users'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    INSERT INTO "swap"."users_16389_changes_0" (key, gone) VALUES (NEW."legacy_id", false);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_capture_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_capture_reverse() IS 'swap, digest fe235a1b1f239f874e8ce6288f73d596';
CREATE FUNCTION swap.users_16389_complete_1_forward() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $$-- Completes a pair whose other row was not there yet when the BEFORE trigger looked: a child written before its
-- parent, in one statement or under a deferred foreign key. Fires before the foreign key's own check.
DECLARE
    swap_mapped uuid;
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'sessions'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'sessions'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.sessions'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    IF NOT (true) THEN
        RETURN NULL;
    END IF;
    SELECT t."uuid_id" INTO swap_mapped FROM "public"."users" t WHERE t."id" = NEW."user_id";
    IF swap_mapped IS NOT NULL AND swap_mapped IS DISTINCT FROM NEW."user_uuid_id" THEN
        UPDATE "public"."sessions" r SET "user_uuid_id" = swap_mapped
        WHERE r."user_id" = NEW."user_id" AND (r."user_uuid_id" IS NULL OR r."user_uuid_id" = '00000000-0000-0000-0000-000000000000'::uuid);
    END IF;
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_complete_1_forward() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_complete_1_forward() IS 'swap, digest 701f4ca9a1bbf97d1d561e4f736ab7f4';
CREATE FUNCTION swap.users_16389_complete_1_reverse() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $$-- Completes a pair whose other row was not there yet when the BEFORE trigger looked: a child written before its
-- parent, in one statement or under a deferred foreign key. Fires before the foreign key's own check.
DECLARE
    swap_mapped bigint;
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'sessions'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'sessions'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.sessions'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    IF NOT (true) THEN
        RETURN NULL;
    END IF;
    SELECT t."legacy_id" INTO swap_mapped FROM "public"."users" t WHERE t."id" = NEW."user_id";
    IF swap_mapped IS NOT NULL AND swap_mapped IS DISTINCT FROM NEW."user_legacy_id" THEN
        UPDATE "public"."sessions" r SET "user_legacy_id" = swap_mapped
        WHERE r."user_id" = NEW."user_id" AND (r."user_legacy_id" IS NULL OR r."user_legacy_id" = 0);
    END IF;
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_complete_1_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_complete_1_reverse() IS 'swap, digest c32a9618b57b351e5f6af377a2a89f61';
CREATE FUNCTION swap.users_16389_complete_2_reverse() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $$-- Completes a pair whose other row was not there yet when the BEFORE trigger looked: a child written before its
-- parent, in one statement or under a deferred foreign key. Fires before the foreign key's own check.
DECLARE
    swap_mapped bigint;
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'users'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'users'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.users'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    IF NOT (true) THEN
        RETURN NULL;
    END IF;
    SELECT t."legacy_id" INTO swap_mapped FROM "public"."users" t WHERE t."id" = NEW."referrer_id";
    IF swap_mapped IS NOT NULL AND swap_mapped IS DISTINCT FROM NEW."referrer_legacy_id" THEN
        UPDATE "public"."users" r SET "referrer_legacy_id" = swap_mapped
        WHERE r."referrer_id" = NEW."referrer_id" AND (r."referrer_legacy_id" IS NULL OR r."referrer_legacy_id" = 0);
    END IF;
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_complete_2_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_complete_2_reverse() IS 'swap, digest fb4eaa4415d5f3da58b64d99405f5e14';
CREATE FUNCTION swap.users_16389_fence() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$BEGIN RETURN NULL; END$$;
ALTER FUNCTION swap.users_16389_fence() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_fence() IS 'swap, digest c5559b6d8727814bf60d2aca0781262b';
CREATE FUNCTION swap.users_16389_gone_forward() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
-- `gone`: the row left this key, so replay has to look whether it must be deleted.
-- Everything is named with its schema: the table, operators, types. So there is nothing that a search_path could change, and
-- the function needs no SET of its own, which would double the cost of a capture.
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'users'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'users'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.users'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    INSERT INTO "swap"."users_16389_changes_0" (key, gone) VALUES (OLD."id", true);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_gone_forward() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_gone_forward() IS 'swap, digest a3916b9eba10ae8f29e2745995bfa4f7';
CREATE FUNCTION swap.users_16389_gone_reverse() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
-- `gone`: the row left this key, so replay has to look whether it must be deleted.
-- Everything is named with its schema: the table, operators, types. So there is nothing that a search_path could change, and
-- the function needs no SET of its own, which would double the cost of a capture.
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'users'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'users'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.users'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    INSERT INTO "swap"."users_16389_changes_0" (key, gone) VALUES (OLD."legacy_id", true);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_gone_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_gone_reverse() IS 'swap, digest 83779cb61d39c52380687cf93126cba5';
CREATE FUNCTION swap.users_16389_guard_1_forward() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $$-- Keeps the pair (integer, uuid) of one reference together: fills the missing side, follows the side that
-- changed, rejects a contradiction. SECURITY DEFINER, so a policy of the table cannot hide the row from it.
-- Variables have names that no column has: in the condition and in an UPDATE a column of the same name would be ambiguous.
DECLARE
    swap_mapped uuid;
    swap_int_changed boolean := true;
    swap_uuid_changed boolean := true;
    swap_known boolean := false;
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'sessions'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'sessions'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.sessions'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    IF NOT (true) THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        swap_int_changed := NEW."user_id" IS DISTINCT FROM OLD."user_id";
        swap_uuid_changed := NEW."user_uuid_id" IS DISTINCT FROM OLD."user_uuid_id";
        IF NOT swap_int_changed AND NOT swap_uuid_changed AND NOT (true) THEN
            swap_int_changed := true; -- the row was not a reference before: its other side may be of another time
        END IF;
        IF NOT swap_int_changed AND NOT swap_uuid_changed AND NEW."user_id" IS NOT NULL AND NEW."user_uuid_id" IS NOT NULL THEN
            RETURN NEW;
        ELSIF swap_int_changed AND NOT swap_uuid_changed THEN
            NEW."user_uuid_id" := NULL;
        ELSIF swap_uuid_changed AND NOT swap_int_changed AND NEW."user_uuid_id" IS NOT NULL THEN
            NEW."user_id" := NULL;
        END IF;
    END IF;
    IF false THEN
        NEW."user_id" := NEW."user_id";
        NEW."user_uuid_id" := NEW."user_uuid_id";
        RETURN NEW;
    END IF;
    IF NEW."user_id" IS NOT NULL THEN
        SELECT t."uuid_id" INTO swap_mapped FROM "public"."users" t WHERE t."id" = NEW."user_id";
        swap_known := FOUND;
        IF NEW."user_uuid_id" IS NULL THEN
            NEW."user_uuid_id" := swap_mapped;
        ELSIF swap_mapped <> NEW."user_uuid_id" THEN
            RAISE EXCEPTION '% = % and % = % are two different rows of %',
                'user_id', NEW."user_id", 'user_uuid_id', NEW."user_uuid_id", 'users'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'swap_guard', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
        END IF;
    ELSIF NEW."user_uuid_id" IS NOT NULL THEN
        SELECT t."id" INTO NEW."user_id" FROM "public"."users" t WHERE t."uuid_id" = NEW."user_uuid_id";
        swap_known := FOUND;
    ELSE
        RETURN NEW;
    END IF;
    IF NOT swap_known AND TG_OP = 'UPDATE' AND NEW."user_id" IS NULL THEN
        NEW."user_id" := OLD."user_id";  -- the changed side names nobody: its own constraints judge it
    ELSIF NOT swap_known AND true AND NEW."user_id" IS NOT NULL AND NEW."user_uuid_id" IS NULL THEN
        -- Nobody yet: the foreign key's check at the end of the statement decides, not a NOT NULL that only this
        -- migration added. If the row comes until then, the completing trigger puts the right key here.
        NEW."user_uuid_id" := '00000000-0000-0000-0000-000000000000'::uuid;
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION swap.users_16389_guard_1_forward() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_guard_1_forward() IS 'swap, digest aba13e70a1275da1f1e0a3d78d20ed88';
CREATE FUNCTION swap.users_16389_guard_1_reverse() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $$-- Keeps the pair (integer, uuid) of one reference together: fills the missing side, follows the side that
-- changed, rejects a contradiction. SECURITY DEFINER, so a policy of the table cannot hide the row from it.
-- Variables have names that no column has: in the condition and in an UPDATE a column of the same name would be ambiguous.
DECLARE
    swap_mapped uuid;
    swap_int_changed boolean := true;
    swap_uuid_changed boolean := true;
    swap_known boolean := false;
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'sessions'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'sessions'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.sessions'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    IF NOT (true) THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        swap_int_changed := NEW."user_legacy_id" IS DISTINCT FROM OLD."user_legacy_id";
        swap_uuid_changed := NEW."user_id" IS DISTINCT FROM OLD."user_id";
        IF NOT swap_int_changed AND NOT swap_uuid_changed AND NOT (true) THEN
            swap_uuid_changed := true; -- the row was not a reference before: its other side may be of another time
        END IF;
        IF NOT swap_int_changed AND NOT swap_uuid_changed AND NEW."user_legacy_id" IS NOT NULL AND NEW."user_id" IS NOT NULL THEN
            RETURN NEW;
        ELSIF swap_uuid_changed AND NOT swap_int_changed THEN
            NEW."user_legacy_id" := NULL;
        ELSIF swap_int_changed AND NOT swap_uuid_changed AND NEW."user_legacy_id" IS NOT NULL THEN
            NEW."user_id" := NULL;
        END IF;
    END IF;
    IF false THEN
        NEW."user_legacy_id" := NEW."user_legacy_id";
        NEW."user_id" := NEW."user_id";
        RETURN NEW;
    END IF;
    IF NEW."user_legacy_id" IS NOT NULL THEN
        SELECT t."id" INTO swap_mapped FROM "public"."users" t WHERE t."legacy_id" = NEW."user_legacy_id";
        swap_known := FOUND;
        IF NEW."user_id" IS NULL THEN
            NEW."user_id" := swap_mapped;
        ELSIF swap_mapped <> NEW."user_id" THEN
            RAISE EXCEPTION '% = % and % = % are two different rows of %',
                'user_legacy_id', NEW."user_legacy_id", 'user_id', NEW."user_id", 'users'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'swap_guard', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
        END IF;
    ELSIF NEW."user_id" IS NOT NULL THEN
        SELECT t."legacy_id" INTO NEW."user_legacy_id" FROM "public"."users" t WHERE t."id" = NEW."user_id";
        swap_known := FOUND;
    ELSE
        RETURN NEW;
    END IF;
    IF NOT swap_known AND TG_OP = 'UPDATE' AND NEW."user_id" IS NULL THEN
        NEW."user_id" := OLD."user_id";  -- the changed side names nobody: its own constraints judge it
    ELSIF NOT swap_known AND true AND NEW."user_id" IS NOT NULL AND NEW."user_legacy_id" IS NULL THEN
        -- Nobody yet: the foreign key's check at the end of the statement decides, not a NOT NULL that only this
        -- migration added. If the row comes until then, the completing trigger puts the right key here.
        NEW."user_legacy_id" := 0;
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION swap.users_16389_guard_1_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_guard_1_reverse() IS 'swap, digest b63b2e2dbb9499210ff10c5d44dcd770';
CREATE FUNCTION swap.users_16389_guard_2_reverse() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $$-- Keeps the pair (integer, uuid) of one reference together: fills the missing side, follows the side that
-- changed, rejects a contradiction. SECURITY DEFINER, so a policy of the table cannot hide the row from it.
-- Variables have names that no column has: in the condition and in an UPDATE a column of the same name would be ambiguous.
DECLARE
    swap_mapped uuid;
    swap_int_changed boolean := true;
    swap_uuid_changed boolean := true;
    swap_known boolean := false;
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'users'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'users'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.users'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    IF NOT (true) THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        swap_int_changed := NEW."referrer_legacy_id" IS DISTINCT FROM OLD."referrer_legacy_id";
        swap_uuid_changed := NEW."referrer_id" IS DISTINCT FROM OLD."referrer_id";
        IF NOT swap_int_changed AND NOT swap_uuid_changed AND NOT (true) THEN
            swap_uuid_changed := true; -- the row was not a reference before: its other side may be of another time
        END IF;
        IF NOT swap_int_changed AND NOT swap_uuid_changed AND NEW."referrer_legacy_id" IS NOT NULL AND NEW."referrer_id" IS NOT NULL THEN
            RETURN NEW;
        ELSIF swap_uuid_changed AND NOT swap_int_changed THEN
            NEW."referrer_legacy_id" := NULL;
        ELSIF swap_int_changed AND NOT swap_uuid_changed AND NEW."referrer_legacy_id" IS NOT NULL THEN
            NEW."referrer_id" := NULL;
        END IF;
    END IF;
    IF NEW."referrer_legacy_id" = NEW."legacy_id" OR NEW."referrer_id" = NEW."id" THEN
        NEW."referrer_legacy_id" := NEW."legacy_id";
        NEW."referrer_id" := NEW."id";
        RETURN NEW;
    END IF;
    IF NEW."referrer_legacy_id" IS NOT NULL THEN
        SELECT t."id" INTO swap_mapped FROM "public"."users" t WHERE t."legacy_id" = NEW."referrer_legacy_id";
        swap_known := FOUND;
        IF NEW."referrer_id" IS NULL THEN
            NEW."referrer_id" := swap_mapped;
        ELSIF swap_mapped <> NEW."referrer_id" THEN
            RAISE EXCEPTION '% = % and % = % are two different rows of %',
                'referrer_legacy_id', NEW."referrer_legacy_id", 'referrer_id', NEW."referrer_id", 'users'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'swap_guard', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
        END IF;
    ELSIF NEW."referrer_id" IS NOT NULL THEN
        SELECT t."legacy_id" INTO NEW."referrer_legacy_id" FROM "public"."users" t WHERE t."id" = NEW."referrer_id";
        swap_known := FOUND;
    ELSE
        RETURN NEW;
    END IF;
    IF NOT swap_known AND TG_OP = 'UPDATE' AND NEW."referrer_id" IS NULL THEN
        NEW."referrer_id" := OLD."referrer_id";  -- the changed side names nobody: its own constraints judge it
    ELSIF NOT swap_known AND false AND NEW."referrer_id" IS NOT NULL AND NEW."referrer_legacy_id" IS NULL THEN
        -- Nobody yet: the foreign key's check at the end of the statement decides, not a NOT NULL that only this
        -- migration added. If the row comes until then, the completing trigger puts the right key here.
        NEW."referrer_legacy_id" := 0;
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION swap.users_16389_guard_2_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_guard_2_reverse() IS 'swap, digest e18d929aade21c7df37c5aa98e89dfbb';
CREATE FUNCTION swap.users_16389_guard_forward() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $$-- Every row has both keys from its birth, and the key that is not the primary one never changes:
-- references of other tables already carry it.
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'users'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'users'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.users'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    IF NEW."uuid_id" IS NULL THEN
        IF TG_OP = 'UPDATE' THEN
            NEW."uuid_id" := OLD."uuid_id";
        END IF;
        IF NEW."uuid_id" IS NULL THEN
            NEW."uuid_id" := gen_random_uuid();
        END IF;
    ELSIF TG_OP = 'UPDATE' AND OLD."uuid_id" IS NOT NULL AND NEW."uuid_id" <> OLD."uuid_id" THEN
        RAISE EXCEPTION '% of % cannot change from % to % while its key is being migrated',
            'uuid_id', TG_TABLE_NAME, OLD."uuid_id", NEW."uuid_id"
            USING ERRCODE = 'check_violation', CONSTRAINT = 'swap_guard', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION swap.users_16389_guard_forward() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_guard_forward() IS 'swap, digest dea728317268d1f096fcae4c92576397';
CREATE FUNCTION swap.users_16389_guard_reverse() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $$-- Every row has both keys from its birth, and the key that is not the primary one never changes:
-- references of other tables already carry it.
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'users'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'users'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.users'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    IF NEW."legacy_id" IS NULL THEN
        IF TG_OP = 'UPDATE' THEN
            NEW."legacy_id" := OLD."legacy_id";
        END IF;
        IF NEW."legacy_id" IS NULL THEN
            NEW."legacy_id" := nextval('public.users_id_seq'::regclass);
        END IF;
    ELSIF TG_OP = 'UPDATE' AND OLD."legacy_id" IS NOT NULL AND NEW."legacy_id" <> OLD."legacy_id" THEN
        RAISE EXCEPTION '% of % cannot change from % to % while its key is being migrated',
            'legacy_id', TG_TABLE_NAME, OLD."legacy_id", NEW."legacy_id"
            USING ERRCODE = 'check_violation', CONSTRAINT = 'swap_guard', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION swap.users_16389_guard_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_guard_reverse() IS 'swap, digest 2f1c92d693357f489770192f7be67cfc';
CREATE FUNCTION swap.users_16389_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$-- A TRUNCATE is an entry of its own: a null key.
BEGIN
    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) 'users'::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) 'swap_owner'::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) 'users'::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, 'public.users'
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
    INSERT INTO "swap"."users_16389_changes_0" (key) VALUES (NULL);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_truncate() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_truncate() IS 'swap, digest aa8bdca3276d8f2d951ceb3ae2750361';
CREATE TABLE public.sessions (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    note text,
    user_uuid_id uuid,
    CONSTRAINT swap_1_user_uuid_id_present CHECK ((user_uuid_id IS NOT NULL))
);
ALTER TABLE public.sessions OWNER TO swap_owner;
CREATE SEQUENCE public.sessions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.sessions_id_seq OWNER TO swap_owner;
ALTER SEQUENCE public.sessions_id_seq OWNED BY public.sessions.id;
CREATE TABLE public.users (
    id bigint NOT NULL,
    email text NOT NULL,
    referrer_id bigint,
    uuid_id uuid DEFAULT gen_random_uuid() NOT NULL
);
ALTER TABLE public.users OWNER TO swap_owner;
CREATE VIEW public.user_emails AS
 SELECT id,
    email
   FROM public.users;
ALTER VIEW public.user_emails OWNER TO swap_owner;
CREATE SEQUENCE public.users_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.users_id_seq OWNER TO swap_owner;
ALTER SEQUENCE public.users_id_seq OWNED BY public.users.id;
CREATE TABLE public.users_new (
    id bigint CONSTRAINT users_legacy_id_not_null NOT NULL,
    email text CONSTRAINT users_email_not_null NOT NULL,
    referrer_id bigint,
    uuid_id uuid DEFAULT gen_random_uuid() CONSTRAINT users_id_not_null NOT NULL,
    referrer_uuid_id uuid
);
ALTER TABLE public.users_new OWNER TO swap_owner;
CREATE TABLE swap.attempt (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    kind text NOT NULL,
    xid text,
    outcome text NOT NULL,
    detail text,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE swap.attempt OWNER TO swap_owner;
ALTER TABLE swap.attempt ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME swap.attempt_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE swap.capture (
    run_id bigint NOT NULL,
    watermark text NOT NULL,
    active smallint DEFAULT '0'::smallint NOT NULL,
    replayed bigint DEFAULT '0'::bigint NOT NULL,
    replayed_at timestamp with time zone
);
ALTER TABLE swap.capture OWNER TO swap_owner;
CREATE TABLE swap.chunk (
    run_id bigint NOT NULL,
    part text NOT NULL,
    number integer NOT NULL,
    low bigint NOT NULL,
    high bigint NOT NULL,
    rows bigint,
    done_at timestamp with time zone
);
ALTER TABLE swap.chunk OWNER TO swap_owner;
CREATE TABLE swap.event (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    kind text NOT NULL,
    message text NOT NULL
);
ALTER TABLE swap.event OWNER TO swap_owner;
ALTER TABLE swap.event ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME swap.event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE swap.fence (
    tag bigint NOT NULL,
    generation integer DEFAULT 0 NOT NULL
);
ALTER TABLE swap.fence OWNER TO swap_owner;
CREATE TABLE swap.hook (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    name text NOT NULL,
    argv jsonb NOT NULL,
    exit_code integer,
    snapshot text,
    output text,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone
);
ALTER TABLE swap.hook OWNER TO swap_owner;
ALTER TABLE swap.hook ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME swap.hook_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE swap.range_digest (
    verification_id bigint NOT NULL,
    part text NOT NULL,
    number integer NOT NULL,
    low bigint,
    high bigint,
    rows bigint NOT NULL,
    digest text NOT NULL
);
ALTER TABLE swap.range_digest OWNER TO swap_owner;
CREATE TABLE swap.run (
    id bigint NOT NULL,
    source_schema text NOT NULL,
    source_table text NOT NULL,
    phase swap.phase NOT NULL,
    mode text NOT NULL,
    plan jsonb NOT NULL,
    baseline jsonb,
    paused boolean DEFAULT false NOT NULL,
    bound bigint,
    complete_xid text,
    verified text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE swap.run OWNER TO swap_owner;
ALTER TABLE swap.run ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME swap.run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE swap.step (
    run_id bigint NOT NULL,
    name text NOT NULL,
    done_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE swap.step OWNER TO swap_owner;
CREATE TABLE swap.stream (
    run_id bigint NOT NULL,
    slot text NOT NULL,
    "position" bigint NOT NULL,
    entries bigint DEFAULT '0'::bigint NOT NULL,
    moved_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE swap.stream OWNER TO swap_owner;
CREATE TABLE swap.users_16389_changes_0 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint NOT NULL,
    key bigint,
    gone boolean DEFAULT true NOT NULL,
    origin xid8
)
WITH (autovacuum_vacuum_insert_threshold='1000000');
ALTER TABLE swap.users_16389_changes_0 OWNER TO swap_owner;
ALTER TABLE swap.users_16389_changes_0 ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME swap.users_16389_changes_0_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 64
);
CREATE TABLE swap.users_16389_changes_1 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint NOT NULL,
    key bigint,
    gone boolean DEFAULT true NOT NULL,
    origin xid8
)
WITH (autovacuum_vacuum_insert_threshold='1000000');
ALTER TABLE swap.users_16389_changes_1 OWNER TO swap_owner;
ALTER TABLE swap.users_16389_changes_1 ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME swap.users_16389_changes_1_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 64
);
CREATE TABLE swap.verification (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    method text NOT NULL,
    direction text NOT NULL,
    verdict text NOT NULL,
    snapshot text,
    fingerprint text,
    repaired boolean NOT NULL,
    report jsonb,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE swap.verification OWNER TO swap_owner;
ALTER TABLE swap.verification ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME swap.verification_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE ONLY public.sessions ALTER COLUMN id SET DEFAULT nextval('public.sessions_id_seq'::regclass);
ALTER TABLE ONLY public.users ALTER COLUMN id SET DEFAULT nextval('public.users_id_seq'::regclass);
INSERT INTO public.sessions VALUES (1, 1, 'note', 'c2c02e8c-0984-40af-9586-b67ef1ad4e86');
INSERT INTO public.sessions VALUES (2, 2, 'note', 'efb6c976-c40f-4346-b286-4bf2823797dc');
INSERT INTO public.sessions VALUES (3, 3, 'note', '8ca65635-61b3-465a-9c47-7251cb6bf60e');
INSERT INTO public.users VALUES (3, 'three', 2, '8ca65635-61b3-465a-9c47-7251cb6bf60e');
INSERT INTO public.users VALUES (1, 'one!', NULL, 'c2c02e8c-0984-40af-9586-b67ef1ad4e86');
INSERT INTO public.users VALUES (2, 'two!', 1, 'efb6c976-c40f-4346-b286-4bf2823797dc');
INSERT INTO public.users_new VALUES (1, 'one', NULL, 'c2c02e8c-0984-40af-9586-b67ef1ad4e86', NULL);
INSERT INTO public.users_new VALUES (2, 'two', 1, 'efb6c976-c40f-4346-b286-4bf2823797dc', 'c2c02e8c-0984-40af-9586-b67ef1ad4e86');
INSERT INTO public.users_new VALUES (3, 'three', 2, '8ca65635-61b3-465a-9c47-7251cb6bf60e', 'efb6c976-c40f-4346-b286-4bf2823797dc');
INSERT INTO swap.capture VALUES (1, '600:600:', 0, 3, '2026-01-01 00:00:00+00');
INSERT INTO swap.chunk VALUES (1, 'identity', 1, 0, 0, 3, '2026-01-01 00:00:00+00');
INSERT INTO swap.chunk VALUES (1, 'users', 1, 1, 3, 3, '2026-01-01 00:00:00+00');
INSERT INTO swap.chunk VALUES (1, 'public.sessions.user_uuid_id', 1, 0, 0, 3, '2026-01-01 00:00:00+00');
INSERT INTO swap.event OVERRIDING SYSTEM VALUE VALUES (1, 1, '2026-01-01 00:00:00+00', 'prepared', 'capture is live; the shadow is empty');
INSERT INTO swap.event OVERRIDING SYSTEM VALUE VALUES (2, 1, '2026-01-01 00:00:00+00', 'syncing', 'the shadow is complete and indexed');
INSERT INTO swap.event OVERRIDING SYSTEM VALUE VALUES (3, 1, '2026-01-01 00:00:00+00', 'verified', 'identical (exact)');
INSERT INTO swap.event OVERRIDING SYSTEM VALUE VALUES (4, 1, '2026-01-01 00:00:00+00', 'upgraded', 'to version 4 of the state');
INSERT INTO swap.event OVERRIDING SYSTEM VALUE VALUES (5, 1, '2026-01-01 00:00:00+00', 'pause', 'by the operator');
INSERT INTO swap.event OVERRIDING SYSTEM VALUE VALUES (6, 1, '2026-01-01 00:00:00+00', 'resume', 'by the operator');
INSERT INTO swap.fence VALUES (16389, 0);
INSERT INTO swap.run OVERRIDING SYSTEM VALUE VALUES (1, 'public', 'users', 'syncing', 'trigger', '{"key": "id", "mode": "trigger", "shadow": {"name": "users_new", "schema": "public"}, "source": {"name": "users", "schema": "public"}, "catalog": {"role": "swap_owner", "views": [{"oid": 16423, "kind": "v", "name": {"name": "user_emails", "schema": "public"}, "rank": 0, "owner": "swap_owner", "parts": [{"kind": "column", "more": "", "name": "id", "text": "", "number": 1, "comment": ""}, {"kind": "column", "more": "", "name": "email", "text": "", "number": 2, "comment": ""}], "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "INSERT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "SELECT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "UPDATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "DELETE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRUNCATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "REFERENCES"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRIGGER"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "MAINTAIN"}], "comment": "", "options": [], "unfilled": "", "extension": "", "populated": true, "replident": "n", "definition": " SELECT id,\n    email\n   FROM public.users", "tablespace": "", "persistence": "p", "reads_bytes": 0, "access_method": "", "toast_options": [], "owner_privileges": null}], "source": {"oid": 16389, "rls": false, "kind": "r", "name": {"name": "users", "schema": "public"}, "bound": "", "owner": "swap_owner", "checks": [], "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "INSERT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "SELECT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "UPDATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "DELETE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRUNCATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "REFERENCES"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRIGGER"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "MAINTAIN"}], "labels": [], "parent": null, "columns": [{"name": "id", "type": "bigint", "attnum": 1, "comment": null, "default": "nextval(''public.users_id_seq''::regclass)", "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "users_id_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "email", "type": "text", "attnum": 2, "comment": null, "default": null, "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "text", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "users_email_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "referrer_id", "type": "bigint", "attnum": 3, "comment": null, "default": null, "options": [], "storage": null, "identity": "", "not_null": false, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": null, "not_null_comment": "", "not_null_inherited": true}], "comment": null, "indexes": [{"name": "users_email_key", "valid": true, "parent": [], "unique": true, "columns": ["email"], "comment": "", "partial": false, "primary": false, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": "users_email_key", "deferrable": false, "definition": "USING btree (email)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["email"], "constraint_type": "u", "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": "UNIQUE (email)"}, {"name": "users_pkey", "valid": true, "parent": [], "unique": true, "columns": ["id"], "comment": "", "partial": false, "primary": true, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": "users_pkey", "deferrable": false, "definition": "USING btree (id)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["id"], "constraint_type": "p", "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": "PRIMARY KEY (id)"}], "of_type": "", "options": [], "is_child": false, "policies": [], "triggers": [], "force_rls": false, "has_rules": false, "replident": "d", "sequences": [{"kind": "", "name": {"name": "users_id_seq", "schema": "public"}, "type": "bigint", "cache": 1, "cycle": false, "start": 1, "column": "id", "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "USAGE"}], "comment": null, "maximum": 9223372036854775807, "minimum": 1, "identity": false, "increment": 1, "persistence": "p"}], "heap_bytes": 8192, "partitions": [], "tablespace": "", "persistence": "p", "total_bytes": 49152, "has_children": false, "publications": [], "access_method": "heap", "partition_key": "", "rows_estimate": 3, "toast_options": []}, "tables": [{"oid": 16407, "rls": false, "kind": "r", "name": {"name": "sessions", "schema": "public"}, "bound": "", "owner": "swap_owner", "checks": [], "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "INSERT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "SELECT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "UPDATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "DELETE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRUNCATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "REFERENCES"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRIGGER"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "MAINTAIN"}], "labels": [], "parent": null, "columns": [{"name": "id", "type": "bigint", "attnum": 1, "comment": null, "default": "nextval(''public.sessions_id_seq''::regclass)", "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "sessions_id_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "user_id", "type": "bigint", "attnum": 2, "comment": null, "default": null, "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "sessions_user_id_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "note", "type": "text", "attnum": 3, "comment": null, "default": null, "options": [], "storage": null, "identity": "", "not_null": false, "base_kind": "b", "base_type": "text", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": null, "not_null_comment": "", "not_null_inherited": true}], "comment": null, "indexes": [{"name": "sessions_pkey", "valid": true, "parent": [], "unique": true, "columns": ["id"], "comment": "", "partial": false, "primary": true, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": "sessions_pkey", "deferrable": false, "definition": "USING btree (id)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["id"], "constraint_type": "p", "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": "PRIMARY KEY (id)"}, {"name": "sessions_user", "valid": true, "parent": [], "unique": false, "columns": ["user_id"], "comment": "", "partial": false, "primary": false, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": null, "deferrable": false, "definition": "USING btree (user_id)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["user_id"], "constraint_type": null, "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": ""}], "of_type": "", "options": [], "is_child": false, "policies": [], "triggers": [], "force_rls": false, "has_rules": false, "replident": "d", "sequences": [{"kind": "", "name": {"name": "sessions_id_seq", "schema": "public"}, "type": "bigint", "cache": 1, "cycle": false, "start": 1, "column": "id", "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "USAGE"}], "comment": null, "maximum": 9223372036854775807, "minimum": 1, "identity": false, "increment": 1, "persistence": "p"}], "heap_bytes": 8192, "partitions": [], "tablespace": "", "persistence": "p", "total_bytes": 49152, "has_children": false, "publications": [], "access_method": "heap", "partition_key": "", "rows_estimate": 3, "toast_options": []}, {"oid": 16389, "rls": false, "kind": "r", "name": {"name": "users", "schema": "public"}, "bound": "", "owner": "swap_owner", "checks": [], "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "INSERT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "SELECT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "UPDATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "DELETE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRUNCATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "REFERENCES"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRIGGER"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "MAINTAIN"}], "labels": [], "parent": null, "columns": [{"name": "id", "type": "bigint", "attnum": 1, "comment": null, "default": "nextval(''public.users_id_seq''::regclass)", "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "users_id_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "email", "type": "text", "attnum": 2, "comment": null, "default": null, "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "text", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "users_email_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "referrer_id", "type": "bigint", "attnum": 3, "comment": null, "default": null, "options": [], "storage": null, "identity": "", "not_null": false, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": null, "not_null_comment": "", "not_null_inherited": true}], "comment": null, "indexes": [{"name": "users_email_key", "valid": true, "parent": [], "unique": true, "columns": ["email"], "comment": "", "partial": false, "primary": false, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": "users_email_key", "deferrable": false, "definition": "USING btree (email)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["email"], "constraint_type": "u", "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": "UNIQUE (email)"}, {"name": "users_pkey", "valid": true, "parent": [], "unique": true, "columns": ["id"], "comment": "", "partial": false, "primary": true, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": "users_pkey", "deferrable": false, "definition": "USING btree (id)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["id"], "constraint_type": "p", "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": "PRIMARY KEY (id)"}], "of_type": "", "options": [], "is_child": false, "policies": [], "triggers": [], "force_rls": false, "has_rules": false, "replident": "d", "sequences": [{"kind": "", "name": {"name": "users_id_seq", "schema": "public"}, "type": "bigint", "cache": 1, "cycle": false, "start": 1, "column": "id", "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "USAGE"}], "comment": null, "maximum": 9223372036854775807, "minimum": 1, "identity": false, "increment": 1, "persistence": "p"}], "heap_bytes": 8192, "partitions": [], "tablespace": "", "persistence": "p", "total_bytes": 49152, "has_children": false, "publications": [], "access_method": "heap", "partition_key": "", "rows_estimate": 3, "toast_options": []}], "database": "test_1", "policies": [], "functions": [], "unclaimed": [], "dependents": [], "statistics": [], "foreign_keys": [{"name": "users_referrer_id_fkey", "root": null, "parts": [], "table": {"name": "users", "schema": "public"}, "target": {"name": "users", "schema": "public"}, "columns": ["referrer_id"], "comment": "", "inherited": false, "validated": true, "deferrable": false, "definition": "FOREIGN KEY (referrer_id) REFERENCES public.users(id)", "target_columns": ["id"]}, {"name": "sessions_user_id_fkey", "root": null, "parts": [], "table": {"name": "sessions", "schema": "public"}, "target": {"name": "users", "schema": "public"}, "columns": ["user_id"], "comment": "", "inherited": false, "validated": true, "deferrable": false, "definition": "FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE", "target_columns": ["id"]}], "server_version": 180006}, "indexes": [{"table": {"name": "users_new", "schema": "public"}, "unique": true, "adopted": false, "on_only": false, "part_of": null, "attributes": {"comment": "", "clustered": false, "statistics": [], "tablespace": "", "replica_identity": false}, "build_name": "users_email_key_new", "constraint": {"type": "u", "comment": "", "deferred": false, "deferrable": false}, "definition": "USING btree (email)", "final_name": "users_email_key", "retired_name": "users_email_key_old", "as_constraint": false}, {"table": {"name": "users_new", "schema": "public"}, "unique": true, "adopted": false, "on_only": false, "part_of": null, "attributes": {"comment": "", "clustered": false, "statistics": [], "tablespace": "", "replica_identity": false}, "build_name": "users_pkey_new", "constraint": {"type": "p", "comment": "", "deferred": false, "deferrable": false}, "definition": "USING btree (uuid_id)", "final_name": "users_pkey", "retired_name": "users_pkey_old", "as_constraint": false}], "retired": {"name": "users_old", "schema": "public"}, "generate": "uuidv4", "identity": "uuid_id", "key_index": {"table": {"name": "users_new", "schema": "public"}, "unique": true, "adopted": false, "on_only": false, "part_of": null, "attributes": {"comment": "", "clustered": false, "statistics": [], "tablespace": "", "replica_identity": false}, "build_name": "users_legacy_id_key", "constraint": null, "definition": "USING btree (\"id\")", "final_name": null, "retired_name": null, "as_constraint": false}, "legacy_key": "legacy_id", "references": [{"parts": [], "columns": {"oid": 16407, "own": false, "table": {"name": "sessions", "schema": "public"}, "where": null, "column": "user_id", "number": 1, "adopted": false, "declared": false, "not_null": true, "deferrable": false, "uuid_column": "user_uuid_id", "compat_column": null, "legacy_column": "user_legacy_id"}, "indexes": [{"table": {"name": "sessions", "schema": "public"}, "unique": false, "adopted": false, "on_only": false, "part_of": null, "attributes": {"comment": "", "clustered": false, "statistics": [], "tablespace": "", "replica_identity": false}, "build_name": "sessions_user_new", "constraint": null, "definition": "USING btree (user_uuid_id)", "final_name": "sessions_user", "retired_name": "sessions_user_legacy", "as_constraint": false}], "spare_parts": [], "not_null_name": "sessions_user_id_not_null", "spare_primary": null, "compat_indexes": []}], "new_policies": [], "state_schema": "swap", "compat_column": null, "identity_added": true, "identity_index": {"table": {"name": "users", "schema": "public"}, "unique": true, "adopted": false, "on_only": false, "part_of": null, "attributes": {"comment": "", "clustered": false, "statistics": [], "tablespace": "", "replica_identity": false}, "build_name": "users_uuid_id_key", "constraint": null, "definition": "USING btree (\"uuid_id\")", "final_name": null, "retired_name": null, "as_constraint": false}, "own_references": [{"oid": 16389, "own": true, "table": {"name": "users", "schema": "public"}, "where": null, "column": "referrer_id", "number": 2, "adopted": false, "declared": false, "not_null": false, "deferrable": false, "uuid_column": "referrer_uuid_id", "compat_column": null, "legacy_column": "referrer_legacy_id"}], "legacy_overflow": "report", "retired_indexes": [{"after": "users_email_key_old", "before": "users_email_key"}, {"after": "users_pkey_old", "before": "users_pkey"}]}', '[["public.sessions", "column id bigint NOT NULL default=nextval(''public.sessions_id_seq''::regclass) identity= generated= acl="], ["public.sessions", "column note text default= identity= generated= acl="], ["public.sessions", "column user_id bigint NOT NULL default= identity= generated= acl="], ["public.sessions", "column user_uuid_id uuid default= identity= generated= acl="], ["public.sessions", "constraint sessions_pkey PRIMARY KEY (id) valid=t"], ["public.sessions", "constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE valid=t"], ["public.sessions", "constraint swap_1_user_uuid_id_present CHECK ((user_uuid_id IS NOT NULL)) valid=t"], ["public.sessions", "grant app=arwdDxtm/swap_owner"], ["public.sessions", "grant swap_owner=arwdDxtm/swap_owner"], ["public.sessions", "index CREATE INDEX sessions_user ON public.sessions USING btree (user_id) valid=t"], ["public.sessions", "index CREATE INDEX sessions_user_new ON public.sessions USING btree (user_uuid_id) valid=t"], ["public.sessions", "index CREATE UNIQUE INDEX sessions_pkey ON public.sessions USING btree (id) valid=t"], ["public.sessions", "sequence public.sessions_id_seq of id bigint start=1 increment=1 bounds=1..9223372036854775807 cache=1 cycle=f acl={swap_owner=rwU/swap_owner,app=U/swap_owner}"], ["public.sessions", "table owner=swap_owner kind=r rls=f/f options= replident=d"], ["public.sessions", "trigger CREATE TRIGGER \"0swap_complete_1\" AFTER INSERT OR UPDATE ON public.sessions FOR EACH ROW WHEN (((new.user_id IS NOT NULL) AND ((new.user_uuid_id IS NULL) OR (new.user_uuid_id = ''00000000-0000-0000-0000-000000000000''::uuid)))) EXECUTE FUNCTION swap.users_16389_complete_1_forward() enabled=A"], ["public.sessions", "trigger CREATE TRIGGER \"~swap_guard_1_insert\" BEFORE INSERT ON public.sessions FOR EACH ROW WHEN (((new.user_id IS NOT NULL) OR (new.user_uuid_id IS NOT NULL))) EXECUTE FUNCTION swap.users_16389_guard_1_forward() enabled=A"], ["public.sessions", "trigger CREATE TRIGGER \"~swap_guard_1_update\" BEFORE UPDATE ON public.sessions FOR EACH ROW WHEN (((new.user_id IS DISTINCT FROM old.user_id) OR (new.user_uuid_id IS DISTINCT FROM old.user_uuid_id) OR ((new.user_id IS NULL) <> (new.user_uuid_id IS NULL)))) EXECUTE FUNCTION swap.users_16389_guard_1_forward() enabled=A"], ["public.users", "column email text NOT NULL default= identity= generated= acl="], ["public.users", "column id bigint NOT NULL default=nextval(''public.users_id_seq''::regclass) identity= generated= acl="], ["public.users", "column referrer_id bigint default= identity= generated= acl="], ["public.users", "column uuid_id uuid NOT NULL default=gen_random_uuid() identity= generated= acl="], ["public.users", "constraint users_email_key UNIQUE (email) valid=t"], ["public.users", "constraint users_pkey PRIMARY KEY (id) valid=t"], ["public.users", "constraint users_referrer_id_fkey FOREIGN KEY (referrer_id) REFERENCES public.users(id) valid=t"], ["public.users", "grant app=arwdDxtm/swap_owner"], ["public.users", "grant swap_owner=arwdDxtm/swap_owner"], ["public.users", "index CREATE UNIQUE INDEX users_email_key ON public.users USING btree (email) valid=t"], ["public.users", "index CREATE UNIQUE INDEX users_pkey ON public.users USING btree (id) valid=t"], ["public.users", "index CREATE UNIQUE INDEX users_uuid_id_key ON public.users USING btree (uuid_id) valid=t"], ["public.users", "referenced by public.sessions constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE"], ["public.users", "referenced by public.users constraint users_referrer_id_fkey FOREIGN KEY (referrer_id) REFERENCES public.users(id)"], ["public.users", "sequence public.users_id_seq of id bigint start=1 increment=1 bounds=1..9223372036854775807 cache=1 cycle=f acl={swap_owner=rwU/swap_owner,app=U/swap_owner}"], ["public.users", "table owner=swap_owner kind=r rls=f/f options= replident=d"], ["public.users", "trigger CREATE TRIGGER \"~swap_guard_insert\" BEFORE INSERT ON public.users FOR EACH ROW WHEN ((new.uuid_id IS NULL)) EXECUTE FUNCTION swap.users_16389_guard_forward() enabled=A"], ["public.users", "trigger CREATE TRIGGER \"~swap_guard_update\" BEFORE UPDATE ON public.users FOR EACH ROW WHEN (((new.uuid_id IS DISTINCT FROM old.uuid_id) OR (new.uuid_id IS NULL))) EXECUTE FUNCTION swap.users_16389_guard_forward() enabled=A"], ["public.users", "trigger CREATE TRIGGER swap_capture AFTER INSERT OR UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION swap.users_16389_capture_forward() enabled=A"], ["public.users", "trigger CREATE TRIGGER swap_capture_deleted AFTER DELETE ON public.users FOR EACH ROW EXECUTE FUNCTION swap.users_16389_gone_forward() enabled=A"], ["public.users", "trigger CREATE TRIGGER swap_capture_moved AFTER UPDATE ON public.users FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION swap.users_16389_gone_forward() enabled=A"], ["public.users", "trigger CREATE TRIGGER swap_fence BEFORE INSERT OR DELETE OR UPDATE ON public.users FOR EACH STATEMENT EXECUTE FUNCTION swap.users_16389_fence() enabled=A"], ["public.users", "trigger CREATE TRIGGER swap_truncate AFTER TRUNCATE ON public.users FOR EACH STATEMENT EXECUTE FUNCTION swap.users_16389_truncate() enabled=A"], ["public.users_new", "column email text NOT NULL default= identity= generated= acl="], ["public.users_new", "column id bigint NOT NULL default= identity= generated= acl="], ["public.users_new", "column referrer_id bigint default= identity= generated= acl="], ["public.users_new", "column referrer_uuid_id uuid default= identity= generated= acl="], ["public.users_new", "column uuid_id uuid NOT NULL default=gen_random_uuid() identity= generated= acl="], ["public.users_new", "constraint users_email_key_new UNIQUE (email) valid=t"], ["public.users_new", "constraint users_pkey_new PRIMARY KEY (uuid_id) valid=t"], ["public.users_new", "index CREATE UNIQUE INDEX users_email_key_new ON public.users_new USING btree (email) valid=t"], ["public.users_new", "index CREATE UNIQUE INDEX users_legacy_id_key ON public.users_new USING btree (id) valid=t"], ["public.users_new", "index CREATE UNIQUE INDEX users_pkey_new ON public.users_new USING btree (uuid_id) valid=t"], ["public.users_new", "table owner=swap_owner kind=r rls=f/f options= replident=d"], ["public.user_emails", "view  SELECT id,\n    email\n   FROM public.users;"], ["public.user_emails", "view owner=swap_owner options= acl={swap_owner=arwdDxtm/swap_owner,app=arwdDxtm/swap_owner}"]]', false, 3, '600', '600:600:', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'identity', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'queue', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'capture', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'reference 1', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'shadow', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'identity check', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'identity validate', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'identity not null', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'copied', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'key index', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'index users_email_key_new', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'index users_pkey_new', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'constraints', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'check swap_1_user_uuid_id_present', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'validate swap_1_user_uuid_id_present', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'analyze 1', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'settled', '2026-01-01 00:00:00+00');
INSERT INTO swap.users_16389_changes_0 OVERRIDING SYSTEM VALUE VALUES ('550', 1, 1, false, NULL);
INSERT INTO swap.users_16389_changes_0 OVERRIDING SYSTEM VALUE VALUES ('550', 2, 2, false, NULL);
INSERT INTO swap.users_16389_changes_0 OVERRIDING SYSTEM VALUE VALUES ('550', 3, 3, false, NULL);
INSERT INTO swap.users_16389_changes_0 OVERRIDING SYSTEM VALUE VALUES ('650', 65, 1, false, NULL);
INSERT INTO swap.users_16389_changes_0 OVERRIDING SYSTEM VALUE VALUES ('650', 66, 2, false, NULL);
INSERT INTO swap.verification OVERRIDING SYSTEM VALUE VALUES (1, 1, 'exact', 'forward', 'identical', '600:600:', '7a5ddd50f7cdaff69cc317322e49677ea23e7cf0e119a435acb63cb598fddba0', false, '{"tables": [{"name": "public.users", "rows": 3, "extra": 0, "columns": [], "missing": 0, "pending": 0, "seconds": 0.021, "checksum": null, "different": 0}, {"name": "public.sessions", "rows": 3, "extra": 0, "columns": ["user_id", "user_uuid_id"], "missing": 0, "pending": 0, "seconds": 0.006, "checksum": null, "different": 0}]}', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
SELECT pg_catalog.setval('public.sessions_id_seq', 3, true);
SELECT pg_catalog.setval('public.users_id_seq', 3, true);
SELECT pg_catalog.setval('swap.attempt_id_seq', 1, false);
SELECT pg_catalog.setval('swap.event_id_seq', 6, true);
SELECT pg_catalog.setval('swap.hook_id_seq', 1, false);
SELECT pg_catalog.setval('swap.run_id_seq', 1, true);
SELECT pg_catalog.setval('swap.users_16389_changes_0_seq_seq', 128, true);
SELECT pg_catalog.setval('swap.users_16389_changes_1_seq_seq', 1, false);
SELECT pg_catalog.setval('swap.verification_id_seq', 1, true);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email_key UNIQUE (email);
ALTER TABLE ONLY public.users_new
    ADD CONSTRAINT users_email_key_new UNIQUE (email);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.users_new
    ADD CONSTRAINT users_pkey_new PRIMARY KEY (uuid_id);
ALTER TABLE ONLY swap.attempt
    ADD CONSTRAINT attempt_pkey PRIMARY KEY (id);
ALTER TABLE ONLY swap.capture
    ADD CONSTRAINT capture_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY swap.chunk
    ADD CONSTRAINT chunk_pkey PRIMARY KEY (run_id, part, number);
ALTER TABLE ONLY swap.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (id);
ALTER TABLE ONLY swap.fence
    ADD CONSTRAINT fence_pkey PRIMARY KEY (tag);
ALTER TABLE ONLY swap.hook
    ADD CONSTRAINT hook_pkey PRIMARY KEY (id);
ALTER TABLE ONLY swap.range_digest
    ADD CONSTRAINT range_digest_pkey PRIMARY KEY (verification_id, part, number);
ALTER TABLE ONLY swap.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (id);
ALTER TABLE ONLY swap.step
    ADD CONSTRAINT step_pkey PRIMARY KEY (run_id, name);
ALTER TABLE ONLY swap.stream
    ADD CONSTRAINT stream_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY swap.users_16389_changes_0
    ADD CONSTRAINT users_16389_changes_0_pkey PRIMARY KEY (xid, seq);
ALTER TABLE ONLY swap.users_16389_changes_1
    ADD CONSTRAINT users_16389_changes_1_pkey PRIMARY KEY (xid, seq);
ALTER TABLE ONLY swap.verification
    ADD CONSTRAINT verification_pkey PRIMARY KEY (id);
CREATE INDEX sessions_user ON public.sessions USING btree (user_id);
CREATE INDEX sessions_user_new ON public.sessions USING btree (user_uuid_id);
CREATE UNIQUE INDEX users_legacy_id_key ON public.users_new USING btree (id);
CREATE UNIQUE INDEX users_uuid_id_key ON public.users USING btree (uuid_id);
CREATE TRIGGER "0swap_complete_1" AFTER INSERT OR UPDATE ON public.sessions FOR EACH ROW WHEN (((new.user_id IS NOT NULL) AND ((new.user_uuid_id IS NULL) OR (new.user_uuid_id = '00000000-0000-0000-0000-000000000000'::uuid)))) EXECUTE FUNCTION swap.users_16389_complete_1_forward();
ALTER TABLE public.sessions ENABLE ALWAYS TRIGGER "0swap_complete_1";
CREATE TRIGGER swap_capture AFTER INSERT OR UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION swap.users_16389_capture_forward();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER swap_capture;
CREATE TRIGGER swap_capture_deleted AFTER DELETE ON public.users FOR EACH ROW EXECUTE FUNCTION swap.users_16389_gone_forward();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER swap_capture_deleted;
CREATE TRIGGER swap_capture_moved AFTER UPDATE ON public.users FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION swap.users_16389_gone_forward();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER swap_capture_moved;
CREATE TRIGGER swap_fence BEFORE INSERT OR DELETE OR UPDATE ON public.users FOR EACH STATEMENT EXECUTE FUNCTION swap.users_16389_fence();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER swap_fence;
CREATE TRIGGER swap_truncate AFTER TRUNCATE ON public.users FOR EACH STATEMENT EXECUTE FUNCTION swap.users_16389_truncate();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER swap_truncate;
CREATE TRIGGER "~swap_guard_1_insert" BEFORE INSERT ON public.sessions FOR EACH ROW WHEN (((new.user_id IS NOT NULL) OR (new.user_uuid_id IS NOT NULL))) EXECUTE FUNCTION swap.users_16389_guard_1_forward();
ALTER TABLE public.sessions ENABLE ALWAYS TRIGGER "~swap_guard_1_insert";
CREATE TRIGGER "~swap_guard_1_update" BEFORE UPDATE ON public.sessions FOR EACH ROW WHEN (((new.user_id IS DISTINCT FROM old.user_id) OR (new.user_uuid_id IS DISTINCT FROM old.user_uuid_id) OR ((new.user_id IS NULL) <> (new.user_uuid_id IS NULL)))) EXECUTE FUNCTION swap.users_16389_guard_1_forward();
ALTER TABLE public.sessions ENABLE ALWAYS TRIGGER "~swap_guard_1_update";
CREATE TRIGGER "~swap_guard_insert" BEFORE INSERT ON public.users FOR EACH ROW WHEN ((new.uuid_id IS NULL)) EXECUTE FUNCTION swap.users_16389_guard_forward();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER "~swap_guard_insert";
CREATE TRIGGER "~swap_guard_update" BEFORE UPDATE ON public.users FOR EACH ROW WHEN (((new.uuid_id IS DISTINCT FROM old.uuid_id) OR (new.uuid_id IS NULL))) EXECUTE FUNCTION swap.users_16389_guard_forward();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER "~swap_guard_update";
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_referrer_id_fkey FOREIGN KEY (referrer_id) REFERENCES public.users(id);
GRANT ALL ON SCHEMA public TO swap_owner;
GRANT USAGE ON SCHEMA public TO app;
REVOKE ALL ON TYPE swap.phase FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_capture_forward() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_capture_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_complete_1_forward() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_complete_1_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_complete_2_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_fence() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_gone_forward() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_gone_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_guard_1_forward() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_guard_1_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_guard_2_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_guard_forward() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_guard_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_truncate() FROM PUBLIC;
GRANT ALL ON TABLE public.sessions TO app;
GRANT USAGE ON SEQUENCE public.sessions_id_seq TO app;
GRANT ALL ON TABLE public.users TO app;
GRANT ALL ON TABLE public.user_emails TO app;
GRANT USAGE ON SEQUENCE public.users_id_seq TO app;
