"""The trial: it builds the target schema empty, in one transaction, and rolls it back."""
