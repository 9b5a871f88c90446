#!/bin/sh
# A streaming standby of the service `db`: a base backup on the first start, then the server itself. Runs as postgres.
set -eu
export PGPASSWORD="$POSTGRES_PASSWORD"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    pg_basebackup --dbname="host=db user=replicator application_name=standby" --pgdata="$PGDATA" \
        --wal-method=stream --checkpoint=fast --create-slot --slot=standby --write-recovery-conf
fi
exec postgres -c hot_standby=on -c hot_standby_feedback=on -c listen_addresses='*' -c max_connections=200 \
    -c max_prepared_transactions=10 -c wal_level=logical
