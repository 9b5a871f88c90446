"""The plan: what is decided, and the one way from catalog and configuration to it."""
