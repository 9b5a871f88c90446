#!/bin/sh
# What the official image's entrypoint does for POSTGRES_USER, _PASSWORD, _DB, _HOST_AUTH_METHOD, _INITDB_ARGS and the scripts.
set -eu
if [ "$1" != postgres ]; then exec "$@"; fi
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres "$PGDATA"
    chmod 700 "$PGDATA"
    exec gosu postgres "$0" "$@"
fi
export POSTGRES_USER="${POSTGRES_USER:-postgres}" POSTGRES_DB="${POSTGRES_DB:-postgres}"
method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf '%s\n' "${POSTGRES_PASSWORD:-}" > /tmp/password
    # shellcheck disable=SC2086 - several arguments
    if [ "$method" = trust ]; then initdb --username="$POSTGRES_USER" ${POSTGRES_INITDB_ARGS:-}
    else initdb --username="$POSTGRES_USER" --pwfile=/tmp/password ${POSTGRES_INITDB_ARGS:-}; fi
    rm /tmp/password
    printf 'host all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
    printf "listen_addresses = '*'\n" >> "$PGDATA/postgresql.conf"
    pg_ctl -w -o "-c listen_addresses=''" start
    [ "$POSTGRES_DB" = postgres ] || createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sh; do
        if [ -e "$script" ]; then "$script"; fi
    done
    pg_ctl -w -m fast stop
fi
exec "$@"
