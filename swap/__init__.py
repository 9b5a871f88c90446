"""swap: change a live PostgreSQL table's primary key from bigint to uuid. Imports nothing."""

__version__ = "0.2.0.dev0"
