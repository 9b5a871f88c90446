"""What every other layer uses: errors, names, SQL text, statements, sessions, lock retries, advisory locks, configuration.

Nothing here knows of a migration.
"""
