#!/bin/sh
# The users of the example, all with the demo's one password.
set -eu
umask 077
for user in app swap_owner pooler; do
    printf '"%s" "%s"\n' "$user" "$POSTGRES_PASSWORD"
done > /tmp/users
exec pgbouncer /etc/pgbouncer/swap.ini
