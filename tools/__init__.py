"""What makes the project's own files: distributions, release notes, pages. None of it is installed."""
