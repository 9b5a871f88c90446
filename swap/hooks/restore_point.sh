#!/bin/sh
# A snapshot hook for swap: a named restore point in the WAL, for point-in-time recovery. Prints its name and LSN.
# Only worth something with a base backup and WAL archiving; docs/hooks.md says how to check and how to restore.
set -eu

: "${SWAP_RUN_ID:?is set by swap}" "${SWAP_PHASE:?is set by swap}"
name="swap-$SWAP_RUN_ID-$SWAP_PHASE-$(date -u +%Y%m%dT%H%M%SZ)"

lsn=$(psql -XAtqw -v ON_ERROR_STOP=1 -c "SELECT pg_create_restore_point('$name')")
printf '%s at %s\n' "$name" "$lsn"
