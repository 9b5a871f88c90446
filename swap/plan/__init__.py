"""The plan: everything that swap decides, and the one way from catalog and configuration to it."""
