"""What every other layer uses: errors, names, SQL text, statements, sessions, lock retries, configuration.

Nothing here knows of a migration.
"""
