-- The example application, variant "fresh": users has a plain bigint key, and no table has a uuid column.
-- Run as swap_owner in an empty schema public. adopt.sql makes variant "adopt" of it.

CREATE TYPE user_status AS ENUM ('invited', 'active', 'suspended');

CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;

CREATE TABLE organizations (
    id   bigserial PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE users (
    id              bigserial PRIMARY KEY,
    organization_id bigint NOT NULL REFERENCES organizations,
    email           text NOT NULL UNIQUE,
    email_lower     text GENERATED ALWAYS AS (lower(email)) STORED,
    fax             text,                      -- dropped below: the table has a hole, as old tables do
    handle          text,                      -- unique among the living: index_users_on_lower_handle
    -- Deferrable, so that two users may exchange their codes in one statement.
    referral_code   text UNIQUE DEFERRABLE INITIALLY IMMEDIATE,
    invited_by_id   bigint REFERENCES users ON DELETE SET NULL,
    status          user_status NOT NULL DEFAULT 'active',
    active          boolean NOT NULL DEFAULT true,
    balance         numeric(12, 2) NOT NULL DEFAULT 0 CHECK (balance >= -1000),
    score           numeric,                   -- any scale: 1.0 and 1.00 are both kept
    login_count     integer NOT NULL DEFAULT 0,
    preferences     jsonb NOT NULL DEFAULT '{}',
    tags            text[],
    bio             text,                      -- some of several kB: stored out of line
    avatar          bytea,
    born_on         date,
    last_seen_at    timestamptz,
    revision        integer NOT NULL DEFAULT 0,
    deleted_at      timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_email_has_at CHECK (email LIKE '%@%')
);
ALTER TABLE users DROP COLUMN fax;
CREATE UNIQUE INDEX index_users_on_lower_handle ON users (lower(handle)) WHERE deleted_at IS NULL;
CREATE INDEX index_users_on_invited_by_id ON users (invited_by_id);
CREATE TRIGGER users_set_updated_at BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
COMMENT ON TABLE users IS 'People who can sign in';
COMMENT ON COLUMN users.balance IS 'Prepaid credit, in euros';

CREATE TABLE sessions (
    id         bigserial PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    token      text NOT NULL UNIQUE,
    data       jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX index_sessions_on_user_id ON sessions (user_id);
CREATE TRIGGER sessions_set_updated_at BEFORE UPDATE ON sessions
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE api_access_tokens (
    id         bigserial PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    name       text NOT NULL,
    digest     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_id, name)
);

CREATE TABLE partner_applications (
    id                 bigserial PRIMARY KEY,
    created_by_user_id bigint REFERENCES users ON DELETE SET NULL,
    client_id          text NOT NULL UNIQUE,
    name               text NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX index_partner_applications_on_created_by_user_id ON partner_applications (created_by_user_id);

-- A join table: the reference is part of the primary key.
CREATE TABLE user_roles (
    user_id    bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    role       text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, role)
);

-- A polymorphic reference without a constraint. Its rows stay when their users are deleted.
CREATE TABLE audit_logs (
    id         bigserial PRIMARY KEY,
    actor_type text NOT NULL CHECK (actor_type IN ('User', 'ApiClient', 'System')),
    actor_id   bigint,
    action     text NOT NULL,
    request_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX index_audit_logs_on_actor ON audit_logs (actor_type, actor_id);

-- The application connects as "app". Each transaction sets the user for whom it works.
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY users_self ON users TO app
    USING (id = NULLIF(current_setting('app.current_user_id', true), '')::bigint);
CREATE POLICY users_service ON users TO app
    USING (current_setting('app.service', true) = 'on')
    WITH CHECK (current_setting('app.service', true) = 'on');
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY sessions_self ON sessions TO app
    USING (user_id = NULLIF(current_setting('app.current_user_id', true), '')::bigint);
CREATE POLICY sessions_service ON sessions TO app
    USING (current_setting('app.service', true) = 'on')
    WITH CHECK (current_setting('app.service', true) = 'on');

CREATE VIEW active_users WITH (security_barrier) AS
SELECT u.id,
       u.email,
       u.handle,
       u.organization_id,
       o.name AS organization_name,
       (SELECT count(*) FROM sessions s WHERE s.user_id = u.id) AS session_count
  FROM users u
  JOIN organizations o ON o.id = u.organization_id
 WHERE u.active AND u.deleted_at IS NULL;
COMMENT ON VIEW active_users IS 'Who can sign in today';

CREATE VIEW organization_activity AS
SELECT organization_id, organization_name, count(*) AS active_users, sum(session_count) AS sessions
  FROM active_users
 GROUP BY organization_id, organization_name;

GRANT SELECT, INSERT, UPDATE, DELETE
   ON users, sessions, api_access_tokens, partner_applications, user_roles, audit_logs TO app;
GRANT SELECT ON organizations, active_users, organization_activity TO app;
GRANT UPDATE (name) ON organizations TO app;
GRANT REFERENCES (email) ON users TO app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app;
