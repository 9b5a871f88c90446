"""The suite's fixtures, one plugin per subject."""

pytest_plugins = [
    "tests.support.mode",
    "tests.support.sampled",
    "tests.support.told",
    "tests.support.servers",
    "tests.support.stages",
    "tests.support.migration",
    "tests.support.commands",
    "tests.support.terminal",
    "tests.support.endpoint",
    "tests.support.proxy",
    "tests.support.operator",
    "tests.support.cycling",
    "tests.support.doctoring",
    "tests.support.whole",
    "tests.support.verification",
    "tests.support.swapped",
    "tests.support.witnessed",
    "tests.apps.running",
]
