-- Variant "adopt": the state after the application's own migrations (phases 1 to 3 of its plan), in a database made by schema.sql. It
-- is imperfect as the real one is: the backfill missed one reference in about 13, one foreign key was never validated, and
-- user_roles, audit_logs and users.invited_by_id were forgotten.
--
-- ALTER COLUMN ... TYPE ... USING fills a new column in one rewrite: without dead rows, without triggers, with the same uuids each time.

CREATE FUNCTION pg_temp.user_uuid(id bigint) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT overlay(overlay(md5(current_setting('demo.seed') || 'uuid' || id) PLACING '4' FROM 13) PLACING '8' FROM 17)::uuid
$$;

-- Phase 1: the parallel column.
ALTER TABLE users ADD COLUMN uuid_id uuid;
ALTER TABLE users ALTER COLUMN uuid_id TYPE uuid USING pg_temp.user_uuid(id);
ALTER TABLE users ALTER COLUMN uuid_id SET DEFAULT gen_random_uuid(), ALTER COLUMN uuid_id SET NOT NULL;
CREATE UNIQUE INDEX index_users_on_uuid_id ON users (uuid_id);

-- Phases 2 and 3: the shadow references, which the models write beside the integers.
ALTER TABLE sessions ADD COLUMN user_uuid_id uuid;
ALTER TABLE sessions ALTER COLUMN user_uuid_id TYPE uuid
    USING CASE WHEN id % 13 <> 0 THEN pg_temp.user_uuid(user_id) END;
CREATE INDEX index_sessions_on_user_uuid_id ON sessions (user_uuid_id);
ALTER TABLE sessions ADD CONSTRAINT sessions_user_uuid_id_fkey
    FOREIGN KEY (user_uuid_id) REFERENCES users (uuid_id) ON DELETE CASCADE;

ALTER TABLE api_access_tokens ADD COLUMN user_uuid_id uuid;
ALTER TABLE api_access_tokens ALTER COLUMN user_uuid_id TYPE uuid
    USING CASE WHEN id % 13 <> 0 THEN pg_temp.user_uuid(user_id) END;
CREATE INDEX index_api_access_tokens_on_user_uuid_id ON api_access_tokens (user_uuid_id);
ALTER TABLE api_access_tokens ADD CONSTRAINT api_access_tokens_user_uuid_id_fkey
    FOREIGN KEY (user_uuid_id) REFERENCES users (uuid_id) ON DELETE CASCADE NOT VALID;

ALTER TABLE partner_applications ADD COLUMN created_by_user_uuid_id uuid;
ALTER TABLE partner_applications ALTER COLUMN created_by_user_uuid_id TYPE uuid
    USING CASE WHEN id % 13 <> 0 THEN pg_temp.user_uuid(created_by_user_id) END;
CREATE INDEX index_partner_applications_on_created_by_user_uuid_id
    ON partner_applications (created_by_user_uuid_id);
ALTER TABLE partner_applications ADD CONSTRAINT partner_applications_created_by_user_uuid_id_fkey
    FOREIGN KEY (created_by_user_uuid_id) REFERENCES users (uuid_id) ON DELETE SET NULL;
