"""`swap set`: what can be set, and what a wrong value is told. The values are checked by the model of the configuration."""

from __future__ import annotations

import pytest

from swap.core.config import Config, Sync
from swap.core.errors import UsageError
from swap.core.overrides import NAMES, OFF_ONLY, parse_overrides, with_overrides
from swap.core.throttle_settings import Throttle

CONFIG = Config.model_validate(
    {"source": {"table": "public.users"}, "throttle": {"max_load": 10, "url": "http://localhost/health"}}
)


def test_values_take_the_place_of_the_configuration() -> None:
    words = [
        "jobs=4",
        "sync.chunk_target_ms=200",
        "throttle.max_load=40",
        "throttle.window=22:00-05:00 UTC",
        "throttle.query_max=2.5",
    ]
    made = with_overrides(CONFIG, parse_overrides(words))
    assert (made.sync.jobs, made.sync.chunk_target_ms) == (4, 200)
    assert (made.throttle.max_load, made.throttle.window, made.throttle.query_max) == (40, "22:00-05:00 UTC", 2.5)
    assert made.throttle.url == "http://localhost/health"
    off = with_overrides(CONFIG, parse_overrides(["throttle.max_load=off", "throttle.url=off"]))
    assert (off.throttle.max_load, off.throttle.url) == (None, None)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("jobs", "'jobs' is not NAME=VALUE"),
        ("jobs=", "is not NAME=VALUE"),
        ("job=4", "'job' cannot be set"),
        ("mode=logical", "'mode' cannot be set"),
        ("cutover.max_attempts=3", "cannot be set"),
        ("jobs=0", "jobs: Input should be greater than or equal to 1"),
        ("jobs=many", "jobs: Input should be a valid integer"),
        ("jobs=off", "jobs: Input should be a valid integer"),
        ("jobs=true", "jobs: Input should be a valid integer"),
        ("max_jobs=1", "max_jobs must not be less than jobs"),
        ("throttle.max_load=-1", "throttle.max_load: Input should be greater than or equal to 0"),
        ("throttle.window=9-5", "throttle.window: must be like"),
        ("throttle.query=SELECT true", "throttle.query can only be switched off"),
        ("throttle.url=http://elsewhere/", "throttle.url can only be switched off"),
        ('throttle.free_disk_command=["sh"]', "throttle.free_disk_command can only be switched off"),
        ("throttle.flag_file=/etc/passwd", "throttle.flag_file can only be switched off"),
    ],
)
def test_a_wrong_one_is_told_in_one_line(word: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        with_overrides(CONFIG, parse_overrides([word]))
    assert said in raised.value.message
    assert "\n" not in raised.value.message


def test_nothing_that_runs_or_opens_something_can_be_set() -> None:
    """Whoever writes into the database chooses no program, file, address or query for the machine of `sync`: every text of the model
    is either checked to be a time of day, or among those that can only be switched off."""
    texts = {f"throttle.{name}" for name, field in Throttle.model_fields.items() if "str" in str(field.annotation)}
    assert texts - set(OFF_ONLY) == {"throttle.window"}
    assert {n for n in NAMES if not n.startswith("throttle.")} < set(Sync.model_fields)
