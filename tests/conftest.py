"""The suite's fixtures, one plugin per subject."""

pytest_plugins = [
    "tests.fix_mode",
    "tests.fix_told",
    "tests.fix_server",
    "tests.stages",
    "tests.runs",
    "tests.fix_cli",
    "tests.fix_proxy",
    "tests.operating",
    "tests.whole",
    "tests.fix_verify",
    "tests.cycling",
]
