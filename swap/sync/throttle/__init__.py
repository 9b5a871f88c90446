"""When `sync` waits: limits on what it may do to replicas, to the application, to the WAL and to the disk, and what an operator asks for."""
