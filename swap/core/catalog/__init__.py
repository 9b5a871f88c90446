"""The catalog as frozen dataclasses: read once, then everything else is computed from it without a connection."""
