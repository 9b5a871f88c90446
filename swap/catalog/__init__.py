"""The server's catalog as frozen dataclasses: read once; everything else is computed from it without a connection."""
