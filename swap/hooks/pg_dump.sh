#!/bin/sh
# A snapshot hook for swap: pg_dump of the whole database, in directory format. Prints the dump's path.
#   SWAP_SNAPSHOT_DIR   where dumps go; default: the directory of swap.toml
# Connection: libpq's own variables, set by swap. docs/hooks.md says what it needs and how to restore.
set -eu
umask 077

: "${SWAP_RUN_ID:?is set by swap}" "${SWAP_PHASE:?is set by swap}"
mkdir -p -- "${SWAP_SNAPSHOT_DIR:-.}"
parent=$(cd -- "${SWAP_SNAPSHOT_DIR:-.}" && pwd -P)
dump="$parent/$SWAP_RUN_ID-$SWAP_PHASE-$(date -u +%Y%m%dT%H%M%SZ)"

# Under another name until it is whole: a directory with the final name is a finished dump.
trap 'rm -rf -- "$dump.partial"' EXIT
trap 'exit 143' HUP INT TERM
pg_dump --format=directory --jobs=2 --no-password --file="$dump.partial"
pg_restore --list "$dump.partial" >/dev/null
mv -- "$dump.partial" "$dump"
printf '%s\n' "$dump"
