"""swap: change a live PostgreSQL table's primary key from bigint to uuid. Imports nothing."""
