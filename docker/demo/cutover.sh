#!/bin/sh
# The exchange, with some time before and after it for the graphs.
set -eux
sleep "${SWAP_DEMO_PAUSE_S:-60}"
swap verify
swap cutover --yes
swap verify
swap status
swap check
set +x
echo "The primary key is a uuid. Grafana shows the cutover: http://127.0.0.1:${GRAFANA_PORT:-3000}/d/pg-uuid-swap"
