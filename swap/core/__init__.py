"""What every other layer stands on: errors, names, configuration, sessions, catalog, plan, journal."""
