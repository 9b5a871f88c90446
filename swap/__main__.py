"""`python -m swap`, and the console script. Takes over signals and streams before it imports the command line."""

from swap.core import process


def main() -> None:
    """Run the command line, and end with its exit code."""
    process.start()
    from swap.cli import main as run  # noqa: PLC0415 - after the handlers

    run()


if __name__ == "__main__":
    main()
