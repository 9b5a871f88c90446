-- Fills variant "fresh" with demo.users rows in users; the same demo.seed gives the same rows.
-- Run as superuser: session_replication_role = replica leaves out a million checks of foreign keys, which are right by construction.
-- Keys: -7, 0, then 1 upwards with one of 50 missing.

CREATE FUNCTION pg_temp.noise(n bigint, what text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT md5(current_setting('demo.seed') || what || n)
$$;

-- Unique, and ascending: with random keys an index takes three times as long to fill.
CREATE FUNCTION pg_temp.token(id bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT 'seed-' || to_char(id + 10, 'FM00000000') || '-' || pg_temp.noise(id, 'token')
$$;

-- The key of the n-th user, n from 1.
CREATE FUNCTION pg_temp.user_key(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE n WHEN 1 THEN -7 WHEN 2 THEN 0 ELSE (n - 2) + (n - 2) / 50 END
$$;

INSERT INTO organizations (name)
SELECT 'Organization ' || n FROM generate_series(1, 20) AS n;

INSERT INTO users (id, organization_id, email, handle, referral_code, invited_by_id, status, active, balance, score,
                   login_count, preferences, tags, bio, avatar, born_on, last_seen_at, deleted_at, created_at, updated_at)
SELECT pg_temp.user_key(n),
       1 + n % 20,
       'User' || n || '@example.com',
       CASE WHEN n % 3 <> 0 THEN 'Handle' || n END,
       CASE WHEN n % 4 <> 0 THEN to_char(n, 'FM00000000') || '-' || upper(left(noise, 6)) END,
       CASE WHEN n > 10 AND n % 5 = 0 THEN pg_temp.user_key(n / 5) END,
       (ARRAY['invited', 'active', 'active', 'suspended'])[1 + n % 4]::user_status,
       n % 7 <> 0,
       round((n % 10007) / 3.0, 2),
       CASE WHEN n % 11 <> 0 THEN round((n % 997) / 7.0, (n % 5)::int) END,
       n % 100,
       jsonb_build_object('theme', left(noise, 4), 'page', n % 50, 'beta', n % 2 = 0),
       CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN '{}' ELSE ARRAY[left(noise, 3), NULL, 'tag ' || n % 9] END,
       CASE WHEN n % 50 = 3
                 THEN (SELECT string_agg(pg_temp.noise(n * 1000 + i, 'bio'), '') FROM generate_series(1, 128) AS i)
            WHEN n % 3 = 0 THEN '' WHEN n % 3 = 1 THEN 'I am number ' || n || '  ' END,
       CASE WHEN n % 8 = 0 THEN decode(noise, 'hex') END,
       CASE WHEN n % 6 <> 0 THEN date '1950-01-01' + (n % 20000)::int END,
       CASE WHEN n % 9 <> 0 THEN timestamptz '2025-06-01 00:00:00+00' + n * interval '1.000001 second' END,
       CASE WHEN n % 40 = 0 THEN timestamptz '2025-12-01 00:00:00+00' END,
       timestamptz '2024-01-01 00:00:00+00' + n * interval '10.000003 second',
       timestamptz '2024-01-01 00:00:00+00' + n * interval '10.000003 second'
  FROM (SELECT n, pg_temp.noise(n, 'user') AS noise
          FROM generate_series(1, current_setting('demo.users')::bigint) AS n) AS seeds;

INSERT INTO sessions (user_id, token, data, created_at, updated_at)
SELECT id, pg_temp.token(id), jsonb_build_object('ip', '10.0.0.' || abs(id) % 250),
       created_at, created_at
  FROM users;

INSERT INTO api_access_tokens (user_id, name, digest, created_at)
SELECT id, 'ci', pg_temp.token(id), created_at FROM users WHERE id % 4 = 0;

INSERT INTO partner_applications (created_by_user_id, client_id, name, created_at)
SELECT CASE WHEN id % 30 <> 0 THEN id END, pg_temp.token(id), 'Partner ' || id, created_at
  FROM users WHERE id % 10 = 0;

INSERT INTO user_roles (user_id, role, granted_at)
SELECT id, 'member', created_at FROM users
UNION ALL
SELECT id, 'admin', created_at FROM users WHERE id % 20 = 0;

-- Each 50th key is missing: a deleted user, whose audit rows stayed.
INSERT INTO audit_logs (actor_type, actor_id, action, request_id, created_at)
SELECT 'User', id, 'sign_in', pg_temp.token(id), created_at FROM users WHERE id % 3 = 0
UNION ALL
SELECT 'User', n, 'delete_account', 'seed-' || pg_temp.noise(n, 'gone'), timestamptz '2025-01-01 00:00:00+00'
  FROM generate_series(50, 250, 50) AS n WHERE NOT EXISTS (SELECT FROM users WHERE id = n)
UNION ALL
SELECT 'ApiClient', n, 'export', 'seed-' || pg_temp.noise(n, 'client'), timestamptz '2025-01-01 00:00:00+00'
  FROM generate_series(1, 10) AS n
UNION ALL
SELECT 'System', NULL, 'vacuum', 'seed-' || pg_temp.noise(n, 'system'), timestamptz '2025-01-01 00:00:00+00'
  FROM generate_series(1, 10) AS n;

SELECT setval('users_id_seq', (SELECT max(id) + 1000 FROM users));
