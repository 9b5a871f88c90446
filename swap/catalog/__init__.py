"""What the server's catalog says, as frozen dataclasses. It is read once; later modules compute from it without a connection."""
