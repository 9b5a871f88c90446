#!/bin/sh
# From nothing to two tables that are equal, while the example application writes.
set -eux
swap doctor
swap prepare
swap sync --once
