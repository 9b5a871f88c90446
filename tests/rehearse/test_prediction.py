"""What a rehearsal predicts beside what came, at three sizes (`make soak`): WAL and disk, which do not depend on the clock where there
is no load. (With one, what it wrote is subtracted by the second: of 10,000 users on a busy machine that was more than `swap`'s own,
and disk was 0.68 to 1.23 of what came.)

Times depend on it, so none is asserted: `python -m bench --only r` compares them, and docs/measurements.md has what it saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.r_rehearse import rehearse
from bench.setting import SETTINGS, Setting
from swap.demo.server import Server
from swap.rehearse.prediction import predict
from swap.rehearse.run import NO_LOAD

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800), pytest.mark.trigger_only("the benchmark's own settings")]
SMALLEST, FACTORS = 10_000, (1, 2, 4)
WITHIN = 0.25


def test_wal_and_disk_are_predicted_at_three_sizes(tmp_path: Path) -> None:
    """Given a rehearsal of the smallest, then each size takes what it predicts, within a quarter."""
    with Server.start("18", SETTINGS) as server:
        setting = Setting(server, tmp_path, SMALLEST * FACTORS[-1], quick=True)
        rehearsed, _ = rehearse(setting, SMALLEST, NO_LOAD)
        ratios = {}
        for factor in FACTORS:
            night, _ = rehearse(setting, SMALLEST * factor, NO_LOAD)
            predicted, actual = predict(rehearsed, night.here), predict(night, night.here)
            for name in ("wal_bytes", "disk_bytes"):
                ratios[factor, name] = round(predicted[name] / actual[name], 3)
    print(ratios)
    assert all(1 - WITHIN <= ratio <= 1 + WITHIN for ratio in ratios.values()), ratios
