"""Applications under traffic through a whole migration: `make test-apps`. docs/frameworks.md says what they show."""
