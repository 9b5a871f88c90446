SET check_function_bodies = false;
CREATE SCHEMA swap;
ALTER SCHEMA swap OWNER TO swap_owner;
COMMENT ON SCHEMA swap IS 'pg-uuid-swap state, version 7';
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
CREATE FUNCTION swap.derived_key(given uuid, secret_1 bytea, secret_2 bytea) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog'
    AS $$-- The integer that a uuid was derived from; NULL for a uuid of another kind. See derived_uuid.sql.
DECLARE
    bytes bytea := uuid_send(given);
    high bigint := ('x' || encode(substr(bytes, 1, 8), 'hex'))::bit(64)::bigint;
    low bigint := ('x' || encode(substr(bytes, 9, 8), 'hex'))::bit(64)::bigint;
    tag bigint := (high & -65536) | ((high >> 2) & 1023);
    body bigint := ((high & 3) << 62) | (low & 4611686018427387903);
    found bigint;
BEGIN
    IF (high >> 12) & 15 <> 4 OR (low >> 62) & 3 <> 2 THEN
        RETURN NULL;
    END IF;
    found := body # ('x' || encode(substr(sha256(secret_2 || int8send(tag)), 1, 8), 'hex'))::bit(64)::bigint;
    IF ('x' || encode(substr(sha256(secret_1 || int8send(found)), 1, 8), 'hex'))::bit(64)::bigint & -64513 <> tag THEN
        RETURN NULL;
    END IF;
    RETURN found;
END
$$;
ALTER FUNCTION swap.derived_key(given uuid, secret_1 bytea, secret_2 bytea) OWNER TO swap_owner;
CREATE FUNCTION swap.derived_uuid(given bigint, secret_1 bytea, secret_2 bytea) RETURNS uuid
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog'
    AS $$-- The uuid of an integer: 58 bits of sha256(first secret, integer) are the tag, and the integer XOR 64 bits of sha256(second
-- secret, tag) is the body. So two integers never have one uuid, and who has the secrets can tell the integer from the uuid. The
-- other six bits say version 4.
-- Layout: 48 bits of the tag, the version, 10 bits of the tag, 2 bits of the body; the variant, 62 bits of the body.
DECLARE
    tag bigint := ('x' || encode(substr(sha256(secret_1 || int8send(given)), 1, 8), 'hex'))::bit(64)::bigint & -64513;
    body bigint := given # ('x' || encode(substr(sha256(secret_2 || int8send(tag)), 1, 8), 'hex'))::bit(64)::bigint;
BEGIN
    RETURN encode(int8send((tag & -65536) | 16384 | ((tag & 1023) << 2) | ((body >> 62) & 3))
                  || int8send((body & 4611686018427387903) | (-9223372036854775808)), 'hex')::uuid;
END
$$;
ALTER FUNCTION swap.derived_uuid(given bigint, secret_1 bytea, secret_2 bytea) OWNER TO swap_owner;
CREATE FUNCTION swap.users_16389_capture_1_forward() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
-- `gone`: the row left this key, so replay has to look whether it must be deleted.
-- Everything is named with its schema: the table, operators, types. So there is nothing that a search_path could change, and
-- the function needs no SET of its own, which would double the cost of a capture.
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
    INSERT INTO "swap"."users_16389_changes_1_0" ("key", gone) VALUES (NEW."id", false);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_capture_1_forward() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_capture_1_forward() IS 'swap, digest c73f059ccee82c24857362fbca98c1c2';
CREATE FUNCTION swap.users_16389_capture_1_reverse() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
-- `gone`: the row left this key, so replay has to look whether it must be deleted.
-- Everything is named with its schema: the table, operators, types. So there is nothing that a search_path could change, and
-- the function needs no SET of its own, which would double the cost of a capture.
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
    INSERT INTO "swap"."users_16389_changes_1_0" ("key", gone) VALUES (NEW."id", false);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_capture_1_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_capture_1_reverse() IS 'swap, digest c73f059ccee82c24857362fbca98c1c2';
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
    INSERT INTO "swap"."users_16389_changes_0" ("key", gone) VALUES (NEW."id", false);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_capture_forward() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_capture_forward() IS 'swap, digest b51c85e77fef9f544e430a7b3d85957e';
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
    INSERT INTO "swap"."users_16389_changes_0" ("key", "uuid", gone) VALUES (NEW."legacy_id", NEW."id", false);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_capture_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_capture_reverse() IS 'swap, digest a0d877c9ea3ac19d2750a930e3119cfa';
CREATE FUNCTION swap.users_16389_fence() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$BEGIN RETURN NULL; END$$;
ALTER FUNCTION swap.users_16389_fence() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_fence() IS 'swap, digest c5559b6d8727814bf60d2aca0781262b';
CREATE FUNCTION swap.users_16389_fence_1() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$BEGIN RETURN NULL; END$$;
ALTER FUNCTION swap.users_16389_fence_1() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_fence_1() IS 'swap, digest c5559b6d8727814bf60d2aca0781262b';
CREATE FUNCTION swap.users_16389_gone_1_forward() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
-- `gone`: the row left this key, so replay has to look whether it must be deleted.
-- Everything is named with its schema: the table, operators, types. So there is nothing that a search_path could change, and
-- the function needs no SET of its own, which would double the cost of a capture.
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
    INSERT INTO "swap"."users_16389_changes_1_0" ("key", gone) VALUES (OLD."id", true);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_gone_1_forward() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_gone_1_forward() IS 'swap, digest 136943c95f78d077ed7c494191eb2f61';
CREATE FUNCTION swap.users_16389_gone_1_reverse() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
-- `gone`: the row left this key, so replay has to look whether it must be deleted.
-- Everything is named with its schema: the table, operators, types. So there is nothing that a search_path could change, and
-- the function needs no SET of its own, which would double the cost of a capture.
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
    INSERT INTO "swap"."users_16389_changes_1_0" ("key", gone) VALUES (OLD."id", true);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_gone_1_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_gone_1_reverse() IS 'swap, digest 136943c95f78d077ed7c494191eb2f61';
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
    INSERT INTO "swap"."users_16389_changes_0" ("key", gone) VALUES (OLD."id", true);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_gone_forward() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_gone_forward() IS 'swap, digest 8bdcacea0c9328b6bb47155c5ef640d1';
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
    INSERT INTO "swap"."users_16389_changes_0" ("key", "uuid", gone) VALUES (OLD."legacy_id", OLD."id", true);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_gone_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_gone_reverse() IS 'swap, digest c302b06f11d06f9ada9f31e453545026';
CREATE FUNCTION swap.users_16389_guard_1_reverse() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $$-- Keeps the pair (integer, uuid) of one reference together: fills the missing side, follows the side that
-- changed, rejects a contradiction. SECURITY DEFINER, so a policy of the table cannot hide the row from it.
-- What it cannot see yet stays NULL and is noted: swap fills it when the parent is there (swap.ddl.pairs).
-- Variables have names that no column has: in the condition a column of the same name would be ambiguous.
DECLARE
    swap_mapped bigint;
    swap_leader_changed boolean := true;
    swap_follower_changed boolean := true;
    swap_known boolean := false;
    swap_judged boolean := false;
    swap_wrong boolean := false;
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
        swap_leader_changed := NEW."user_id" IS DISTINCT FROM OLD."user_id";
        swap_follower_changed := NEW."user_legacy_id" IS DISTINCT FROM OLD."user_legacy_id";
        IF NOT swap_leader_changed AND NOT swap_follower_changed AND NOT (true) THEN
            -- The row was not a reference before: the side that follows may be of another time.
            swap_leader_changed := NEW."user_id" IS NOT NULL;
            swap_follower_changed := NOT swap_leader_changed;
        END IF;
        IF NOT swap_leader_changed AND NOT swap_follower_changed AND NEW."user_id" IS NOT NULL AND NEW."user_legacy_id" IS NOT NULL THEN
            RETURN NEW;
        ELSIF swap_leader_changed AND NOT swap_follower_changed THEN
            NEW."user_legacy_id" := NULL;
        ELSIF swap_follower_changed AND NOT swap_leader_changed AND NEW."user_legacy_id" IS NOT NULL THEN
            NEW."user_id" := NULL;
        ELSIF swap_follower_changed AND NOT swap_leader_changed AND current_setting('swap.settling', true) = 'on' THEN
            RETURN NEW; -- rows that exchange a unique value: all of them give theirs up first
        END IF;
    END IF;
    IF false THEN
        NEW."user_legacy_id" := NEW."user_legacy_id";
        NEW."user_id" := NEW."user_id";
        RETURN NEW;
    END IF;
    IF NEW."user_id" IS NULL AND NEW."user_legacy_id" IS NOT NULL THEN
        SELECT t."id" INTO NEW."user_id" FROM "public"."users" t WHERE t."legacy_id" = NEW."user_legacy_id";
        swap_known := FOUND;
        IF NOT swap_known AND TG_OP = 'UPDATE' THEN -- the changed side names nobody: does the other one name a row?
            NEW."user_id" := OLD."user_id";
            swap_judged := false;
        END IF;
    END IF;
    IF NOT swap_known AND NEW."user_id" IS NOT NULL THEN
        SELECT t."legacy_id" INTO swap_mapped FROM "public"."users" t WHERE t."id" = NEW."user_id";
        swap_known := swap_mapped IS NOT NULL;
        IF NEW."user_legacy_id" IS NULL THEN
            NEW."user_legacy_id" := swap_mapped;
        ELSIF swap_known THEN
            swap_wrong := swap_mapped <> NEW."user_legacy_id" AND NOT swap_judged;
        ELSE
            PERFORM FROM "public"."users" t WHERE t."legacy_id" = NEW."user_legacy_id";
            swap_wrong := FOUND AND NOT (current_setting('session_replication_role') <> 'replica');
        END IF;
        IF swap_wrong THEN
            RAISE EXCEPTION '% = % and % = % are not of one row of %',
                'user_legacy_id', NEW."user_legacy_id", 'user_id', NEW."user_id", 'users'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'swap_guard', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
        END IF;
    END IF;
    IF NOT swap_known AND (NEW."user_id" IS NOT NULL OR NEW."user_legacy_id" IS NOT NULL) THEN
        INSERT INTO "swap"."users_16389_pairs" (number, value) VALUES (1, coalesce(NEW."user_id"::text, NEW."user_legacy_id"::text))
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION swap.users_16389_guard_1_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_guard_1_reverse() IS 'swap, digest a1cb0f5df8e112e8501b7632401a4110';
CREATE FUNCTION swap.users_16389_guard_2_reverse() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $$-- Keeps the pair (integer, uuid) of one reference together: fills the missing side, follows the side that
-- changed, rejects a contradiction. SECURITY DEFINER, so a policy of the table cannot hide the row from it.
-- What it cannot see yet stays NULL and is noted: swap fills it when the parent is there (swap.ddl.pairs).
-- Variables have names that no column has: in the condition a column of the same name would be ambiguous.
DECLARE
    swap_mapped bigint;
    swap_leader_changed boolean := true;
    swap_follower_changed boolean := true;
    swap_known boolean := false;
    swap_judged boolean := false;
    swap_wrong boolean := false;
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
        swap_leader_changed := NEW."referrer_id" IS DISTINCT FROM OLD."referrer_id";
        swap_follower_changed := NEW."referrer_legacy_id" IS DISTINCT FROM OLD."referrer_legacy_id";
        IF NOT swap_leader_changed AND NOT swap_follower_changed AND NOT (true) THEN
            -- The row was not a reference before: the side that follows may be of another time.
            swap_leader_changed := NEW."referrer_id" IS NOT NULL;
            swap_follower_changed := NOT swap_leader_changed;
        END IF;
        IF NOT swap_leader_changed AND NOT swap_follower_changed AND NEW."referrer_id" IS NOT NULL AND NEW."referrer_legacy_id" IS NOT NULL THEN
            RETURN NEW;
        ELSIF swap_leader_changed AND NOT swap_follower_changed THEN
            NEW."referrer_legacy_id" := NULL;
        ELSIF swap_follower_changed AND NOT swap_leader_changed AND NEW."referrer_legacy_id" IS NOT NULL THEN
            NEW."referrer_id" := NULL;
        ELSIF swap_follower_changed AND NOT swap_leader_changed AND current_setting('swap.settling', true) = 'on' THEN
            RETURN NEW; -- rows that exchange a unique value: all of them give theirs up first
        END IF;
    END IF;
    IF NEW."referrer_legacy_id" = NEW."legacy_id" OR NEW."referrer_id" = NEW."id" THEN
        IF NEW."legacy_id" IS NULL THEN
NEW."legacy_id" := nextval('public.users_id_seq'::regclass);
        END IF;
        NEW."referrer_legacy_id" := NEW."legacy_id";
        NEW."referrer_id" := NEW."id";
        RETURN NEW;
    END IF;
    IF NEW."referrer_id" IS NULL AND NEW."referrer_legacy_id" IS NOT NULL THEN
        SELECT t."id" INTO NEW."referrer_id" FROM "public"."users" t WHERE t."legacy_id" = NEW."referrer_legacy_id";
        swap_known := FOUND;
        IF NOT swap_known AND TG_OP = 'UPDATE' THEN -- the changed side names nobody: does the other one name a row?
            NEW."referrer_id" := OLD."referrer_id";
            swap_judged := false;
        END IF;
    END IF;
    IF NOT swap_known AND NEW."referrer_id" IS NOT NULL THEN
        SELECT t."legacy_id" INTO swap_mapped FROM "public"."users" t WHERE t."id" = NEW."referrer_id";
        swap_known := swap_mapped IS NOT NULL;
        IF NEW."referrer_legacy_id" IS NULL THEN
            NEW."referrer_legacy_id" := swap_mapped;
        ELSIF swap_known THEN
            swap_wrong := swap_mapped <> NEW."referrer_legacy_id" AND NOT swap_judged;
        ELSE
            PERFORM FROM "public"."users" t WHERE t."legacy_id" = NEW."referrer_legacy_id";
            swap_wrong := FOUND AND NOT (current_setting('session_replication_role') <> 'replica');
        END IF;
        IF swap_wrong THEN
            RAISE EXCEPTION '% = % and % = % are not of one row of %',
                'referrer_legacy_id', NEW."referrer_legacy_id", 'referrer_id', NEW."referrer_id", 'users'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'swap_guard', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
        END IF;
    END IF;
    IF NOT swap_known AND (NEW."referrer_id" IS NOT NULL OR NEW."referrer_legacy_id" IS NOT NULL) THEN
        INSERT INTO "swap"."users_16389_pairs" (number, value) VALUES (2, coalesce(NEW."referrer_id"::text, NEW."referrer_legacy_id"::text))
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION swap.users_16389_guard_2_reverse() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_guard_2_reverse() IS 'swap, digest ecc77c57abcbb868bc00b2471578f009';
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
CREATE FUNCTION swap.users_16389_truncate_1() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$-- A TRUNCATE is an entry of its own: a null key.
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
    INSERT INTO "swap"."users_16389_changes_1_0" (key) VALUES (NULL);
    RETURN NULL;
END
$$;
ALTER FUNCTION swap.users_16389_truncate_1() OWNER TO swap_owner;
COMMENT ON FUNCTION swap.users_16389_truncate_1() IS 'swap, digest a357fb6d0d3c1afdf16e061d9ddc8d20';
CREATE FUNCTION swap.users_legacy(uuid) RETURNS bigint
    LANGUAGE sql STABLE STRICT SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $_$SELECT CASE WHEN $1 IS NOT NULL THEN coalesce(CASE WHEN (SELECT EXISTS (SELECT FROM "swap"."exceptions_16389")) THEN (SELECT e."key" FROM "swap"."exceptions_16389" e WHERE e."uuid" OPERATOR(pg_catalog.=) $1) END, "swap"."derived_key"($1, (SELECT pg_catalog.substr(pg_catalog.lo_get(x.object), 1, 32) FROM "swap"."secret" x WHERE x.tag OPERATOR(pg_catalog.=) 16389), (SELECT pg_catalog.substr(pg_catalog.lo_get(x.object), 33, 32) FROM "swap"."secret" x WHERE x.tag OPERATOR(pg_catalog.=) 16389))) END$_$;
ALTER FUNCTION swap.users_legacy(uuid) OWNER TO swap_owner;
CREATE FUNCTION swap.users_uuid(bigint) RETURNS uuid
    LANGUAGE sql STABLE STRICT SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $_$SELECT CASE WHEN $1 IS NOT NULL THEN coalesce(CASE WHEN (SELECT EXISTS (SELECT FROM "swap"."exceptions_16389")) THEN (SELECT e."uuid" FROM "swap"."exceptions_16389" e WHERE e."key" OPERATOR(pg_catalog.=) $1) END, "swap"."derived_uuid"($1, (SELECT pg_catalog.substr(pg_catalog.lo_get(x.object), 1, 32) FROM "swap"."secret" x WHERE x.tag OPERATOR(pg_catalog.=) 16389), (SELECT pg_catalog.substr(pg_catalog.lo_get(x.object), 33, 32) FROM "swap"."secret" x WHERE x.tag OPERATOR(pg_catalog.=) 16389))) END$_$;
ALTER FUNCTION swap.users_uuid(bigint) OWNER TO swap_owner;
CREATE TABLE public.sessions (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    note text
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
CREATE TABLE public.sessions_new (
    id bigint DEFAULT nextval('public.sessions_id_seq'::regclass) CONSTRAINT sessions_id_not_null NOT NULL,
    user_uuid_id uuid CONSTRAINT sessions_user_id_not_null NOT NULL,
    note text,
    user_id bigint
);
ALTER TABLE public.sessions_new OWNER TO swap_owner;
CREATE TABLE public.users (
    id bigint NOT NULL,
    email text NOT NULL,
    referrer_id bigint
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
    uuid_id uuid DEFAULT gen_random_uuid() CONSTRAINT users_id_not_null NOT NULL,
    email text CONSTRAINT users_email_not_null NOT NULL,
    referrer_uuid_id uuid,
    id bigint CONSTRAINT users_legacy_id_not_null NOT NULL,
    referrer_id bigint
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
CREATE TABLE swap.bound (
    run_id bigint NOT NULL,
    part text NOT NULL,
    last bigint NOT NULL
);
ALTER TABLE swap.bound OWNER TO swap_owner;
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
CREATE TABLE swap.exceptions_16389 (
    key bigint NOT NULL,
    uuid uuid NOT NULL
);
ALTER TABLE swap.exceptions_16389 OWNER TO swap_owner;
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
CREATE TABLE swap.lock (
    name text NOT NULL,
    tag bigint NOT NULL,
    pid integer NOT NULL,
    began timestamp with time zone,
    role bigint NOT NULL
);
ALTER TABLE swap.lock OWNER TO swap_owner;
CREATE TABLE swap.origin (
    id smallint NOT NULL,
    system text,
    timeline integer,
    database bigint NOT NULL,
    relation bigint NOT NULL,
    server_version integer NOT NULL,
    xid text NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE swap.origin OWNER TO swap_owner;
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
CREATE TABLE swap.secret (
    tag bigint NOT NULL,
    object oid NOT NULL
);
ALTER TABLE swap.secret OWNER TO swap_owner;
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
    key bigint,
    uuid uuid,
    gone boolean DEFAULT true NOT NULL,
    origin xid8
)
WITH (autovacuum_vacuum_insert_threshold='1000000');
ALTER TABLE swap.users_16389_changes_0 OWNER TO swap_owner;
CREATE TABLE swap.users_16389_changes_1 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    key bigint,
    uuid uuid,
    gone boolean DEFAULT true NOT NULL,
    origin xid8
)
WITH (autovacuum_vacuum_insert_threshold='1000000');
ALTER TABLE swap.users_16389_changes_1 OWNER TO swap_owner;
CREATE TABLE swap.users_16389_changes_1_0 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    key bigint,
    gone boolean DEFAULT true NOT NULL,
    origin xid8
)
WITH (autovacuum_vacuum_insert_threshold='1000000');
ALTER TABLE swap.users_16389_changes_1_0 OWNER TO swap_owner;
CREATE TABLE swap.users_16389_changes_1_1 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    key bigint,
    gone boolean DEFAULT true NOT NULL,
    origin xid8
)
WITH (autovacuum_vacuum_insert_threshold='1000000');
ALTER TABLE swap.users_16389_changes_1_1 OWNER TO swap_owner;
CREATE TABLE swap.users_16389_pairs (
    number integer NOT NULL,
    value text NOT NULL,
    noted text DEFAULT (pg_current_xact_id())::text NOT NULL,
    stage text DEFAULT 'now'::text NOT NULL,
    since xid8
);
ALTER TABLE swap.users_16389_pairs OWNER TO swap_owner;
CREATE TABLE swap.users_16389_waiting (
    number integer NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    held boolean NOT NULL
);
ALTER TABLE swap.users_16389_waiting OWNER TO swap_owner;
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
INSERT INTO public.sessions VALUES (1, 1, 'note');
INSERT INTO public.sessions VALUES (2, 2, 'note');
INSERT INTO public.sessions VALUES (3, 3, 'note');
INSERT INTO public.sessions_new VALUES (1, '1795c618-d1bf-4695-9f9f-c30ea4bba7fe', 'note', 1);
INSERT INTO public.sessions_new VALUES (2, '3e6f6de0-1dd9-4bbd-b691-7391b1f0cd5b', 'note', 2);
INSERT INTO public.sessions_new VALUES (3, 'e548c25c-fe7e-4fa8-bd7e-97f37da3a2f1', 'note', 3);
INSERT INTO public.users VALUES (3, 'three', 2);
INSERT INTO public.users VALUES (1, 'one!', NULL);
INSERT INTO public.users VALUES (2, 'two!', 1);
INSERT INTO public.users_new VALUES ('1795c618-d1bf-4695-9f9f-c30ea4bba7fe', 'one', NULL, 1, NULL);
INSERT INTO public.users_new VALUES ('3e6f6de0-1dd9-4bbd-b691-7391b1f0cd5b', 'two', '1795c618-d1bf-4695-9f9f-c30ea4bba7fe', 2, 1);
INSERT INTO public.users_new VALUES ('e548c25c-fe7e-4fa8-bd7e-97f37da3a2f1', 'three', '3e6f6de0-1dd9-4bbd-b691-7391b1f0cd5b', 3, 2);
INSERT INTO swap.bound VALUES (1, 'public.sessions', 3);
INSERT INTO swap.capture VALUES (1, '600:600:', 0, 0, NULL);
INSERT INTO swap.chunk VALUES (1, 'users', 1, 1, 3, 3, '2026-01-01 00:00:00+00');
INSERT INTO swap.chunk VALUES (1, 'public.sessions', 1, 1, 3, 3, '2026-01-01 00:00:00+00');
INSERT INTO swap.event OVERRIDING SYSTEM VALUE VALUES (1, 1, '2026-01-01 00:00:00+00', 'prepared', 'capture is live; the shadow is empty');
INSERT INTO swap.event OVERRIDING SYSTEM VALUE VALUES (5, 1, '2026-01-01 00:00:00+00', 'syncing', 'the shadow is complete and indexed');
INSERT INTO swap.event OVERRIDING SYSTEM VALUE VALUES (8, 1, '2026-01-01 00:00:00+00', 'verified', 'identical (checksum)');
INSERT INTO swap.fence VALUES (16389, 0);
INSERT INTO swap.origin VALUES (1, '1', 1, 1, 1, 180006, '500', '2026-01-01 00:00:00+00');
INSERT INTO swap.range_digest VALUES (1, 'public.users', 1, NULL, NULL, 3, '00000000000000001fb72058d019d205');
INSERT INTO swap.range_digest VALUES (1, 'public.users_new', 1, NULL, NULL, 3, '00000000000000001fb72058d019d205');
INSERT INTO swap.range_digest VALUES (1, 'public.sessions', 1, NULL, NULL, 3, '0000000000000000c7df55e309a6d913');
INSERT INTO swap.range_digest VALUES (1, 'public.sessions_new', 1, NULL, NULL, 3, '0000000000000000c7df55e309a6d913');
INSERT INTO swap.run OVERRIDING SYSTEM VALUE VALUES (1, 'public', 'users', 'syncing', 'trigger', '{"key": "id", "mode": "trigger", "catalog": {"role": "swap_owner", "views": [{"oid": 16423, "kind": "v", "name": {"name": "user_emails", "schema": "public"}, "rank": 0, "owner": "swap_owner", "parts": [{"kind": "column", "more": "", "name": "id", "text": "", "number": 1, "comment": ""}, {"kind": "column", "more": "", "name": "email", "text": "", "number": 2, "comment": ""}], "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "INSERT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "SELECT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "UPDATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "DELETE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRUNCATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "REFERENCES"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRIGGER"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "MAINTAIN"}], "comment": "", "meaning": {"path": [], "uses": []}, "options": [], "unfilled": "", "extension": "", "populated": true, "replident": "n", "definition": " SELECT id,\n    email\n   FROM public.users", "tablespace": "", "persistence": "p", "reads_bytes": 0, "access_method": "", "toast_options": [], "owner_privileges": null}], "source": {"oid": 16389, "rls": false, "kind": "r", "name": {"name": "users", "schema": "public"}, "bound": "", "owner": "swap_owner", "checks": [], "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "INSERT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "SELECT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "UPDATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "DELETE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRUNCATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "REFERENCES"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRIGGER"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "MAINTAIN"}], "labels": [], "parent": null, "columns": [{"name": "id", "type": "bigint", "attnum": 1, "comment": null, "default": "nextval(''public.users_id_seq''::regclass)", "meaning": {"path": [], "uses": []}, "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "users_id_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "email", "type": "text", "attnum": 2, "comment": null, "default": null, "meaning": {"path": [], "uses": []}, "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "text", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "users_email_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "referrer_id", "type": "bigint", "attnum": 3, "comment": null, "default": null, "meaning": {"path": [], "uses": []}, "options": [], "storage": null, "identity": "", "not_null": false, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": null, "not_null_comment": "", "not_null_inherited": true}], "comment": null, "indexes": [{"name": "users_email_key", "valid": true, "parent": [], "unique": true, "columns": ["email"], "comment": "", "meaning": {"path": [], "uses": []}, "partial": false, "primary": false, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": "users_email_key", "deferrable": false, "definition": "USING btree (email)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["email"], "constraint_type": "u", "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": "UNIQUE (email)"}, {"name": "users_pkey", "valid": true, "parent": [], "unique": true, "columns": ["id"], "comment": "", "meaning": {"path": [], "uses": []}, "partial": false, "primary": true, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": "users_pkey", "deferrable": false, "definition": "USING btree (id)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["id"], "constraint_type": "p", "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": "PRIMARY KEY (id)"}], "of_type": "", "options": [], "is_child": false, "policies": [], "triggers": [], "force_rls": false, "has_rules": false, "replident": "d", "sequences": [{"kind": "", "name": {"name": "users_id_seq", "schema": "public"}, "type": "bigint", "cache": 1, "cycle": false, "start": 1, "column": "id", "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "USAGE"}], "comment": null, "maximum": 9223372036854775807, "minimum": 1, "identity": false, "increment": 1, "persistence": "p"}], "heap_bytes": 8192, "partitions": [], "tablespace": "", "persistence": "p", "total_bytes": 49152, "has_children": false, "publications": [], "access_method": "heap", "partition_key": "", "rows_estimate": 3, "toast_options": []}, "tables": [{"oid": 16407, "rls": false, "kind": "r", "name": {"name": "sessions", "schema": "public"}, "bound": "", "owner": "swap_owner", "checks": [], "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "INSERT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "SELECT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "UPDATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "DELETE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRUNCATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "REFERENCES"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRIGGER"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "MAINTAIN"}], "labels": [], "parent": null, "columns": [{"name": "id", "type": "bigint", "attnum": 1, "comment": null, "default": "nextval(''public.sessions_id_seq''::regclass)", "meaning": {"path": [], "uses": []}, "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "sessions_id_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "user_id", "type": "bigint", "attnum": 2, "comment": null, "default": null, "meaning": {"path": [], "uses": []}, "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "sessions_user_id_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "note", "type": "text", "attnum": 3, "comment": null, "default": null, "meaning": {"path": [], "uses": []}, "options": [], "storage": null, "identity": "", "not_null": false, "base_kind": "b", "base_type": "text", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": null, "not_null_comment": "", "not_null_inherited": true}], "comment": null, "indexes": [{"name": "sessions_pkey", "valid": true, "parent": [], "unique": true, "columns": ["id"], "comment": "", "meaning": {"path": [], "uses": []}, "partial": false, "primary": true, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": "sessions_pkey", "deferrable": false, "definition": "USING btree (id)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["id"], "constraint_type": "p", "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": "PRIMARY KEY (id)"}, {"name": "sessions_user", "valid": true, "parent": [], "unique": false, "columns": ["user_id"], "comment": "", "meaning": {"path": [], "uses": []}, "partial": false, "primary": false, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": null, "deferrable": false, "definition": "USING btree (user_id)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["user_id"], "constraint_type": null, "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": ""}], "of_type": "", "options": [], "is_child": false, "policies": [], "triggers": [], "force_rls": false, "has_rules": false, "replident": "d", "sequences": [{"kind": "", "name": {"name": "sessions_id_seq", "schema": "public"}, "type": "bigint", "cache": 1, "cycle": false, "start": 1, "column": "id", "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "USAGE"}], "comment": null, "maximum": 9223372036854775807, "minimum": 1, "identity": false, "increment": 1, "persistence": "p"}], "heap_bytes": 8192, "partitions": [], "tablespace": "", "persistence": "p", "total_bytes": 49152, "has_children": false, "publications": [], "access_method": "heap", "partition_key": "", "rows_estimate": 3, "toast_options": []}, {"oid": 16389, "rls": false, "kind": "r", "name": {"name": "users", "schema": "public"}, "bound": "", "owner": "swap_owner", "checks": [], "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "INSERT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "SELECT"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "UPDATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "DELETE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRUNCATE"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "REFERENCES"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "TRIGGER"}, {"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "MAINTAIN"}], "labels": [], "parent": null, "columns": [{"name": "id", "type": "bigint", "attnum": 1, "comment": null, "default": "nextval(''public.users_id_seq''::regclass)", "meaning": {"path": [], "uses": []}, "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "users_id_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "email", "type": "text", "attnum": 2, "comment": null, "default": null, "meaning": {"path": [], "uses": []}, "options": [], "storage": null, "identity": "", "not_null": true, "base_kind": "b", "base_type": "text", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": "users_email_not_null", "not_null_comment": "", "not_null_inherited": true}, {"name": "referrer_id", "type": "bigint", "attnum": 3, "comment": null, "default": null, "meaning": {"path": [], "uses": []}, "options": [], "storage": null, "identity": "", "not_null": false, "base_kind": "b", "base_type": "int8", "collation": null, "generated": "", "statistics": null, "compression": null, "deterministic": true, "not_null_name": null, "not_null_comment": "", "not_null_inherited": true}], "comment": null, "indexes": [{"name": "users_email_key", "valid": true, "parent": [], "unique": true, "columns": ["email"], "comment": "", "meaning": {"path": [], "uses": []}, "partial": false, "primary": false, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": "users_email_key", "deferrable": false, "definition": "USING btree (email)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["email"], "constraint_type": "u", "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": "UNIQUE (email)"}, {"name": "users_pkey", "valid": true, "parent": [], "unique": true, "columns": ["id"], "comment": "", "meaning": {"path": [], "uses": []}, "partial": false, "primary": true, "deferred": false, "clustered": false, "exclusion": false, "replident": false, "constraint": "users_pkey", "deferrable": false, "definition": "USING btree (id)", "size_bytes": 16384, "tablespace": "", "expressions": false, "key_columns": ["id"], "constraint_type": "p", "constraint_comment": "", "statistics_columns": [], "statistics_targets": [], "exclusion_definition": "", "constraint_definition": "PRIMARY KEY (id)"}], "of_type": "", "options": [], "is_child": false, "policies": [], "triggers": [], "force_rls": false, "has_rules": false, "replident": "d", "sequences": [{"kind": "", "name": {"name": "users_id_seq", "schema": "public"}, "type": "bigint", "cache": 1, "cycle": false, "start": 1, "column": "id", "grants": [{"column": null, "grantee": "app", "grantor": "swap_owner", "grantable": false, "privilege": "USAGE"}], "comment": null, "maximum": 9223372036854775807, "minimum": 1, "identity": false, "increment": 1, "persistence": "p"}], "heap_bytes": 8192, "partitions": [], "tablespace": "", "persistence": "p", "total_bytes": 49152, "has_children": false, "publications": [], "access_method": "heap", "partition_key": "", "rows_estimate": 3, "toast_options": []}], "database": "test_1", "policies": [], "functions": [], "unclaimed": [], "dependents": [], "statistics": [], "foreign_keys": [{"name": "users_referrer_id_fkey", "root": null, "parts": [], "table": {"name": "users", "schema": "public"}, "target": {"name": "users", "schema": "public"}, "columns": ["referrer_id"], "comment": "", "inherited": false, "validated": true, "deferrable": false, "definition": "FOREIGN KEY (referrer_id) REFERENCES public.users(id)", "target_columns": ["id"]}, {"name": "sessions_user_id_fkey", "root": null, "parts": [], "table": {"name": "sessions", "schema": "public"}, "target": {"name": "users", "schema": "public"}, "columns": ["user_id"], "comment": "", "inherited": false, "validated": true, "deferrable": false, "definition": "FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE", "target_columns": ["id"]}], "server_version": 180006}, "swapped": [{"key": ["id"], "name": {"name": "users", "schema": "public"}, "number": 0, "shadow": {"name": "users_new", "schema": "public"}, "indexes": [{"path": [], "table": {"name": "users_new", "schema": "public"}, "unique": true, "adopted": false, "on_only": false, "part_of": null, "attributes": {"comment": "", "clustered": false, "statistics": [], "tablespace": "", "replica_identity": false}, "build_name": "users_email_key_new", "constraint": {"type": "u", "comment": "", "deferred": false, "deferrable": false}, "definition": "USING btree (email)", "final_name": "users_email_key", "retired_name": "users_email_key_old", "as_constraint": false}, {"path": [], "table": {"name": "users_new", "schema": "public"}, "unique": true, "adopted": false, "on_only": false, "part_of": null, "attributes": {"comment": "", "clustered": false, "statistics": [], "tablespace": "", "replica_identity": false}, "build_name": "users_pkey_new", "constraint": {"type": "p", "comment": "", "deferred": false, "deferrable": false}, "definition": "USING btree (uuid_id)", "final_name": "users_pkey", "retired_name": "users_pkey_old", "as_constraint": false}], "retired": {"name": "users_old", "schema": "public"}, "key_index": {"path": [], "table": {"name": "users_new", "schema": "public"}, "unique": true, "adopted": false, "on_only": false, "part_of": null, "attributes": {"comment": "", "clustered": false, "statistics": [], "tablespace": "", "replica_identity": false}, "build_name": "users_legacy_id_key", "constraint": null, "definition": "USING btree (\"id\")", "final_name": null, "retired_name": null, "as_constraint": false}, "pair_index": null, "references": [{"oid": 16389, "own": true, "table": {"name": "users", "schema": "public"}, "types": [], "where": null, "column": "referrer_id", "number": 2, "adopted": false, "declared": false, "not_null": false, "strategy": "table", "companion": false, "uuid_type": "uuid", "uuid_column": "referrer_uuid_id", "compat_column": null, "legacy_column": "referrer_legacy_id"}], "retired_indexes": [{"after": "users_email_key_old", "before": "users_email_key"}, {"after": "users_pkey_old", "before": "users_pkey"}]}, {"key": ["id"], "name": {"name": "sessions", "schema": "public"}, "number": 1, "shadow": {"name": "sessions_new", "schema": "public"}, "indexes": [{"path": [], "table": {"name": "sessions_new", "schema": "public"}, "unique": true, "adopted": false, "on_only": false, "part_of": null, "attributes": {"comment": "", "clustered": false, "statistics": [], "tablespace": "", "replica_identity": false}, "build_name": "sessions_pkey_new", "constraint": {"type": "p", "comment": "", "deferred": false, "deferrable": false}, "definition": "USING btree (id)", "final_name": "sessions_pkey", "retired_name": "sessions_pkey_old", "as_constraint": false}, {"path": [], "table": {"name": "sessions_new", "schema": "public"}, "unique": false, "adopted": false, "on_only": false, "part_of": null, "attributes": {"comment": "", "clustered": false, "statistics": [], "tablespace": "", "replica_identity": false}, "build_name": "sessions_user_new", "constraint": null, "definition": "USING btree (user_uuid_id)", "final_name": "sessions_user", "retired_name": "sessions_user_old", "as_constraint": false}], "retired": {"name": "sessions_old", "schema": "public"}, "key_index": {"path": [], "table": {"name": "sessions_new", "schema": "public"}, "unique": true, "adopted": false, "on_only": false, "part_of": null, "attributes": {"comment": "", "clustered": false, "statistics": [], "tablespace": "", "replica_identity": false}, "build_name": "sessions_pkey_new", "constraint": {"type": "p", "comment": "", "deferred": false, "deferrable": false}, "definition": "USING btree (id)", "final_name": "sessions_pkey", "retired_name": "sessions_pkey_old", "as_constraint": false}, "pair_index": null, "references": [{"oid": 16407, "own": false, "table": {"name": "sessions", "schema": "public"}, "types": [], "where": null, "column": "user_id", "number": 1, "adopted": false, "declared": false, "not_null": true, "strategy": "table", "companion": false, "uuid_type": "uuid", "uuid_column": "user_uuid_id", "compat_column": null, "legacy_column": "user_legacy_id"}], "retired_indexes": [{"after": "sessions_pkey_old", "before": "sessions_pkey"}, {"after": "sessions_user_old", "before": "sessions_user"}]}], "existing": "derived", "generate": "uuidv4", "identity": "uuid_id", "settings": [["DateStyle", "ISO, MDY"], ["TimeZone", "Etc/UTC"], ["default_text_search_config", "pg_catalog.english"], ["extra_float_digits", "1"], ["lc_monetary", "C"], ["lc_numeric", "C"], ["lc_time", "C"], ["search_path", "\"swap_owner\", public"], ["timezone_abbreviations", "Default"], ["xmlbinary", "base64"]], "legacy_key": "legacy_id", "references": [], "new_policies": [], "state_schema": "swap", "compat_column": null, "identity_index": null, "resolver_roles": [], "legacy_overflow": "report"}', '[["public.sessions", "attribute id number=1 collation= storage=p compression= statistics= options="], ["public.sessions", "attribute note number=3 collation=\"default\" storage=x compression= statistics= options="], ["public.sessions", "attribute user_id number=2 collation= storage=p compression= statistics= options="], ["public.sessions", "column id bigint NOT NULL default=nextval(''public.sessions_id_seq''::regclass) identity= generated= acl="], ["public.sessions", "column note text default= identity= generated= acl="], ["public.sessions", "column user_id bigint NOT NULL default= identity= generated= acl="], ["public.sessions", "constraint sessions_pkey PRIMARY KEY (id) valid=t"], ["public.sessions", "constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE valid=t"], ["public.sessions", "grant app=arwdDxtm/swap_owner"], ["public.sessions", "grant swap_owner=arwdDxtm/swap_owner"], ["public.sessions", "index CREATE INDEX sessions_user ON public.sessions USING btree (user_id) valid=t"], ["public.sessions", "index CREATE UNIQUE INDEX sessions_pkey ON public.sessions USING btree (id) valid=t"], ["public.sessions", "indexed sessions_pkey replident=f tablespace=0 targets="], ["public.sessions", "indexed sessions_user replident=f tablespace=0 targets="], ["public.sessions", "sequence public.sessions_id_seq of id bigint start=1 increment=1 bounds=1..9223372036854775807 cache=1 cycle=f acl={swap_owner=rwU/swap_owner,app=U/swap_owner}"], ["public.sessions", "storage persistence=p tablespace=0 method=2 toast= type="], ["public.sessions", "table owner=swap_owner kind=r rls=f/f options= replident=d"], ["public.sessions", "trigger CREATE TRIGGER swap_capture AFTER INSERT OR UPDATE ON public.sessions FOR EACH ROW EXECUTE FUNCTION swap.users_16389_capture_1_forward() enabled=A"], ["public.sessions", "trigger CREATE TRIGGER swap_capture_deleted AFTER DELETE ON public.sessions FOR EACH ROW EXECUTE FUNCTION swap.users_16389_gone_1_forward() enabled=A"], ["public.sessions", "trigger CREATE TRIGGER swap_capture_moved AFTER UPDATE ON public.sessions FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION swap.users_16389_gone_1_forward() enabled=A"], ["public.sessions", "trigger CREATE TRIGGER swap_truncate AFTER TRUNCATE ON public.sessions FOR EACH STATEMENT EXECUTE FUNCTION swap.users_16389_truncate_1() enabled=A"], ["public.sessions_new", "attribute id number=1 collation= storage=p compression= statistics= options="], ["public.sessions_new", "attribute note number=3 collation=\"default\" storage=x compression= statistics= options="], ["public.sessions_new", "attribute user_id number=4 collation= storage=p compression= statistics= options="], ["public.sessions_new", "attribute user_uuid_id number=2 collation= storage=p compression= statistics= options="], ["public.sessions_new", "column id bigint NOT NULL default=nextval(''public.sessions_id_seq''::regclass) identity= generated= acl="], ["public.sessions_new", "column note text default= identity= generated= acl="], ["public.sessions_new", "column user_id bigint default= identity= generated= acl="], ["public.sessions_new", "column user_uuid_id uuid NOT NULL default= identity= generated= acl="], ["public.sessions_new", "constraint sessions_pkey_new PRIMARY KEY (id) valid=t"], ["public.sessions_new", "index CREATE INDEX sessions_user_new ON public.sessions_new USING btree (user_uuid_id) valid=t"], ["public.sessions_new", "index CREATE UNIQUE INDEX sessions_pkey_new ON public.sessions_new USING btree (id) valid=t"], ["public.sessions_new", "indexed sessions_pkey_new replident=f tablespace=0 targets="], ["public.sessions_new", "indexed sessions_user_new replident=f tablespace=0 targets="], ["public.sessions_new", "storage persistence=p tablespace=0 method=2 toast= type="], ["public.sessions_new", "table owner=swap_owner kind=r rls=f/f options= replident=d"], ["public.users", "attribute email number=2 collation=\"default\" storage=x compression= statistics= options="], ["public.users", "attribute id number=1 collation= storage=p compression= statistics= options="], ["public.users", "attribute referrer_id number=3 collation= storage=p compression= statistics= options="], ["public.users", "column email text NOT NULL default= identity= generated= acl="], ["public.users", "column id bigint NOT NULL default=nextval(''public.users_id_seq''::regclass) identity= generated= acl="], ["public.users", "column referrer_id bigint default= identity= generated= acl="], ["public.users", "constraint users_email_key UNIQUE (email) valid=t"], ["public.users", "constraint users_pkey PRIMARY KEY (id) valid=t"], ["public.users", "constraint users_referrer_id_fkey FOREIGN KEY (referrer_id) REFERENCES public.users(id) valid=t"], ["public.users", "grant app=arwdDxtm/swap_owner"], ["public.users", "grant swap_owner=arwdDxtm/swap_owner"], ["public.users", "index CREATE UNIQUE INDEX users_email_key ON public.users USING btree (email) valid=t"], ["public.users", "index CREATE UNIQUE INDEX users_pkey ON public.users USING btree (id) valid=t"], ["public.users", "indexed users_email_key replident=f tablespace=0 targets="], ["public.users", "indexed users_pkey replident=f tablespace=0 targets="], ["public.users", "referenced by public.sessions constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE"], ["public.users", "referenced by public.users constraint users_referrer_id_fkey FOREIGN KEY (referrer_id) REFERENCES public.users(id)"], ["public.users", "sequence public.users_id_seq of id bigint start=1 increment=1 bounds=1..9223372036854775807 cache=1 cycle=f acl={swap_owner=rwU/swap_owner,app=U/swap_owner}"], ["public.users", "storage persistence=p tablespace=0 method=2 toast= type="], ["public.users", "table owner=swap_owner kind=r rls=f/f options= replident=d"], ["public.users", "trigger CREATE TRIGGER swap_capture AFTER INSERT OR UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION swap.users_16389_capture_forward() enabled=A"], ["public.users", "trigger CREATE TRIGGER swap_capture_deleted AFTER DELETE ON public.users FOR EACH ROW EXECUTE FUNCTION swap.users_16389_gone_forward() enabled=A"], ["public.users", "trigger CREATE TRIGGER swap_capture_moved AFTER UPDATE ON public.users FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION swap.users_16389_gone_forward() enabled=A"], ["public.users", "trigger CREATE TRIGGER swap_truncate AFTER TRUNCATE ON public.users FOR EACH STATEMENT EXECUTE FUNCTION swap.users_16389_truncate() enabled=A"], ["public.users_new", "attribute email number=2 collation=\"default\" storage=x compression= statistics= options="], ["public.users_new", "attribute id number=4 collation= storage=p compression= statistics= options="], ["public.users_new", "attribute referrer_id number=5 collation= storage=p compression= statistics= options="], ["public.users_new", "attribute referrer_uuid_id number=3 collation= storage=p compression= statistics= options="], ["public.users_new", "attribute uuid_id number=1 collation= storage=p compression= statistics= options="], ["public.users_new", "column email text NOT NULL default= identity= generated= acl="], ["public.users_new", "column id bigint NOT NULL default= identity= generated= acl="], ["public.users_new", "column referrer_id bigint default= identity= generated= acl="], ["public.users_new", "column referrer_uuid_id uuid default= identity= generated= acl="], ["public.users_new", "column uuid_id uuid NOT NULL default=gen_random_uuid() identity= generated= acl="], ["public.users_new", "constraint users_email_key_new UNIQUE (email) valid=t"], ["public.users_new", "constraint users_pkey_new PRIMARY KEY (uuid_id) valid=t"], ["public.users_new", "index CREATE UNIQUE INDEX users_email_key_new ON public.users_new USING btree (email) valid=t"], ["public.users_new", "index CREATE UNIQUE INDEX users_legacy_id_key ON public.users_new USING btree (id) valid=t"], ["public.users_new", "index CREATE UNIQUE INDEX users_pkey_new ON public.users_new USING btree (uuid_id) valid=t"], ["public.users_new", "indexed users_email_key_new replident=f tablespace=0 targets="], ["public.users_new", "indexed users_legacy_id_key replident=f tablespace=0 targets="], ["public.users_new", "indexed users_pkey_new replident=f tablespace=0 targets="], ["public.users_new", "storage persistence=p tablespace=0 method=2 toast= type="], ["public.users_new", "table owner=swap_owner kind=r rls=f/f options= replident=d"], ["public.user_emails", "view  SELECT id,\n    email\n   FROM public.users;"], ["public.user_emails", "view owner=swap_owner options= acl={swap_owner=arwdDxtm/swap_owner,app=arwdDxtm/swap_owner}"]]', false, 3, '500', '600:600:', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO swap.secret VALUES (16389, 16799);
INSERT INTO swap.step VALUES (1, 'queue', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'capture public.sessions', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'capture', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'shadow', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'shadow public.sessions', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'copied', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'copied public.sessions', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'key index', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'key index public.sessions', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'index users_email_key_new', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'index users_pkey_new', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'index sessions_user_new', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'constraints', '2026-01-01 00:00:00+00');
INSERT INTO swap.step VALUES (1, 'settled', '2026-01-01 00:00:00+00');
INSERT INTO swap.users_16389_changes_0 VALUES ('650', 1, NULL, false, NULL);
INSERT INTO swap.users_16389_changes_0 VALUES ('650', 2, NULL, false, NULL);
INSERT INTO swap.verification OVERRIDING SYSTEM VALUE VALUES (1, 1, 'checksum', 'forward', 'identical', '600:600:', '6f72aa992190d86a22a05ef23834deed231dae662ce350e313858180611bcf1f', false, '{"id": 1, "lsn": "0/1000000", "files": [{"oid": 16407, "table": "public.sessions", "filenode": 16407}, {"oid": 16840, "table": "public.sessions_new", "filenode": 16840}, {"oid": 16389, "table": "public.users", "filenode": 16389}, {"oid": 16831, "table": "public.users_new", "filenode": 16831}], "checks": [{"name": "coverage", "detail": "2 of 2 ranges, every row of both sides, in one snapshot", "status": "ok"}, {"name": "structure", "detail": "5 columns are alike on public.users and public.users_new; 4 columns are alike on public.sessions and public.sessions_new", "status": "ok"}, {"name": "drift", "detail": "the structure is what it was when last journalled", "status": "ok"}, {"name": "indexes_valid", "detail": "9 indexes are valid and ready", "status": "ok"}, {"name": "foreign_keys_valid", "detail": "2 foreign keys are valid", "status": "ok"}, {"name": "sequences_ahead", "detail": "public.users_id_seq is at 3, the keys end at 3", "status": "ok"}, {"name": "capture_installed", "detail": "every trigger that captures or guards is enabled and unaltered", "status": "ok"}, {"name": "no_direct_writer", "detail": "only replay writes to public.users_new, public.sessions_new", "status": "ok"}, {"name": "mapping_one_to_one", "detail": "integers and uuids are unique and never NULL on both sides", "status": "ok"}, {"name": "no_orphans", "detail": "none", "status": "ok"}], "method": "checksum", "tables": [{"name": "public.users", "rows": 3, "extra": 0, "columns": [], "missing": 0, "pending": 0, "seconds": 0.029, "checksum": "00000000000000001fb72058d019d205", "different": 0}, {"name": "public.sessions", "rows": 3, "extra": 0, "columns": [], "missing": 0, "pending": 0, "seconds": 0.007, "checksum": "0000000000000000c7df55e309a6d913", "different": 0}], "covered": "600:600:", "verdict": "identical", "findings": [], "snapshot": "600:600:", "direction": "forward", "snapshots": [{"lsn": "0/1000000", "snapshot": "600:600:", "watermark": "600:600:"}], "started_at": "2026-01-01T00:00:00+00:00", "fingerprint": "6f72aa992190d86a22a05ef23834deed231dae662ce350e313858180611bcf1f", "finished_at": "2026-01-01T00:00:00+00:00", "tool_version": "0.2.0.dev0", "server_version": 180006, "plan_fingerprint": "1d76f4dcde15c60a"}', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
SELECT pg_catalog.setval('public.sessions_id_seq', 3, true);
SELECT pg_catalog.setval('public.users_id_seq', 3, true);
SELECT pg_catalog.setval('swap.attempt_id_seq', 1, false);
SELECT pg_catalog.setval('swap.event_id_seq', 9, true);
SELECT pg_catalog.setval('swap.hook_id_seq', 1, false);
SELECT pg_catalog.setval('swap.run_id_seq', 1, true);
SELECT pg_catalog.setval('swap.verification_id_seq', 1, true);
SELECT pg_catalog.lo_create('16799');
ALTER LARGE OBJECT 16799 OWNER TO swap_owner;
BEGIN;
SELECT pg_catalog.lo_open('16799', 131072);
SELECT pg_catalog.lowrite(0, '\x2c9deaba3231496ba06d44e2334e6bad0ec90c1e731023e205bd7507a096ce6ef0a41430bec3d6ea53ad1b00de051b94aa15660977d15b149261fde3672299b1');
SELECT pg_catalog.lo_close(0);
COMMIT;
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sessions_new
    ADD CONSTRAINT sessions_pkey_new PRIMARY KEY (id);
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
ALTER TABLE ONLY swap.bound
    ADD CONSTRAINT bound_pkey PRIMARY KEY (run_id, part);
ALTER TABLE ONLY swap.capture
    ADD CONSTRAINT capture_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY swap.chunk
    ADD CONSTRAINT chunk_pkey PRIMARY KEY (run_id, part, number);
ALTER TABLE ONLY swap.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (id);
ALTER TABLE ONLY swap.exceptions_16389
    ADD CONSTRAINT exceptions_16389_pkey PRIMARY KEY (key);
ALTER TABLE ONLY swap.exceptions_16389
    ADD CONSTRAINT exceptions_16389_uuid_key UNIQUE (uuid);
ALTER TABLE ONLY swap.fence
    ADD CONSTRAINT fence_pkey PRIMARY KEY (tag);
ALTER TABLE ONLY swap.hook
    ADD CONSTRAINT hook_pkey PRIMARY KEY (id);
ALTER TABLE ONLY swap.lock
    ADD CONSTRAINT lock_pkey PRIMARY KEY (name, tag);
ALTER TABLE ONLY swap.origin
    ADD CONSTRAINT origin_pkey PRIMARY KEY (id);
ALTER TABLE ONLY swap.range_digest
    ADD CONSTRAINT range_digest_pkey PRIMARY KEY (verification_id, part, number);
ALTER TABLE ONLY swap.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (id);
ALTER TABLE ONLY swap.secret
    ADD CONSTRAINT secret_pkey PRIMARY KEY (tag);
ALTER TABLE ONLY swap.step
    ADD CONSTRAINT step_pkey PRIMARY KEY (run_id, name);
ALTER TABLE ONLY swap.stream
    ADD CONSTRAINT stream_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY swap.users_16389_pairs
    ADD CONSTRAINT users_16389_pairs_pkey PRIMARY KEY (value, number, noted);
ALTER TABLE ONLY swap.users_16389_waiting
    ADD CONSTRAINT users_16389_waiting_pkey PRIMARY KEY (number, key, value);
ALTER TABLE ONLY swap.verification
    ADD CONSTRAINT verification_pkey PRIMARY KEY (id);
CREATE INDEX sessions_user ON public.sessions USING btree (user_id);
CREATE INDEX sessions_user_new ON public.sessions_new USING btree (user_uuid_id);
CREATE UNIQUE INDEX users_legacy_id_key ON public.users_new USING btree (id);
CREATE INDEX users_16389_changes_0_xid ON swap.users_16389_changes_0 USING btree (xid);
CREATE INDEX users_16389_changes_1_0_xid ON swap.users_16389_changes_1_0 USING btree (xid);
CREATE INDEX users_16389_changes_1_1_xid ON swap.users_16389_changes_1_1 USING btree (xid);
CREATE INDEX users_16389_changes_1_xid ON swap.users_16389_changes_1 USING btree (xid);
CREATE INDEX users_16389_pairs_due ON swap.users_16389_pairs USING btree (number, value) WHERE (stage <> 'waits'::text);
CREATE INDEX users_16389_waiting_value ON swap.users_16389_waiting USING btree (value);
CREATE TRIGGER swap_capture AFTER INSERT OR UPDATE ON public.sessions FOR EACH ROW EXECUTE FUNCTION swap.users_16389_capture_1_forward();
ALTER TABLE public.sessions ENABLE ALWAYS TRIGGER swap_capture;
CREATE TRIGGER swap_capture AFTER INSERT OR UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION swap.users_16389_capture_forward();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER swap_capture;
CREATE TRIGGER swap_capture_deleted AFTER DELETE ON public.sessions FOR EACH ROW EXECUTE FUNCTION swap.users_16389_gone_1_forward();
ALTER TABLE public.sessions ENABLE ALWAYS TRIGGER swap_capture_deleted;
CREATE TRIGGER swap_capture_deleted AFTER DELETE ON public.users FOR EACH ROW EXECUTE FUNCTION swap.users_16389_gone_forward();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER swap_capture_deleted;
CREATE TRIGGER swap_capture_moved AFTER UPDATE ON public.sessions FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION swap.users_16389_gone_1_forward();
ALTER TABLE public.sessions ENABLE ALWAYS TRIGGER swap_capture_moved;
CREATE TRIGGER swap_capture_moved AFTER UPDATE ON public.users FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION swap.users_16389_gone_forward();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER swap_capture_moved;
CREATE TRIGGER swap_truncate AFTER TRUNCATE ON public.sessions FOR EACH STATEMENT EXECUTE FUNCTION swap.users_16389_truncate_1();
ALTER TABLE public.sessions ENABLE ALWAYS TRIGGER swap_truncate;
CREATE TRIGGER swap_truncate AFTER TRUNCATE ON public.users FOR EACH STATEMENT EXECUTE FUNCTION swap.users_16389_truncate();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER swap_truncate;
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_referrer_id_fkey FOREIGN KEY (referrer_id) REFERENCES public.users(id);
GRANT ALL ON SCHEMA public TO swap_owner;
GRANT USAGE ON SCHEMA public TO app;
REVOKE ALL ON TYPE swap.phase FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.derived_key(given uuid, secret_1 bytea, secret_2 bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.derived_uuid(given bigint, secret_1 bytea, secret_2 bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_capture_1_forward() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_capture_1_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_capture_forward() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_capture_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_fence() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_fence_1() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_gone_1_forward() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_gone_1_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_gone_forward() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_gone_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_guard_1_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_guard_2_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_guard_reverse() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_truncate() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_16389_truncate_1() FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_legacy(uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION swap.users_uuid(bigint) FROM PUBLIC;
GRANT ALL ON TABLE public.sessions TO app;
GRANT USAGE ON SEQUENCE public.sessions_id_seq TO app;
GRANT ALL ON TABLE public.users TO app;
GRANT ALL ON TABLE public.user_emails TO app;
GRANT USAGE ON SEQUENCE public.users_id_seq TO app;
