"""`python -m swap`."""

from swap.cli import main

main()
