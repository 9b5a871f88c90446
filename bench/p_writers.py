"""(p) The cost of capture for the application with every table captured: pgbench over the source and the tables that refer to it, with
the capture triggers of all of them and without, on a server that waits for its disk.

The triggers of one database are enabled and disabled in turn.
"""

from __future__ import annotations

from bench.b_capture import CLIENTS, durable, pgbench, swap_triggers, switch
from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import Setting
from bench.shapes import all_rebuilt

SCRIPT = """\\set id random(1, :users)
BEGIN;
UPDATE users SET login_count = login_count + 1 WHERE id = :id;
UPDATE sessions SET data = data WHERE user_id = :id;
UPDATE api_access_tokens SET digest = digest WHERE user_id = :id;
INSERT INTO sessions (user_id, token) SELECT id, gen_random_uuid() FROM users WHERE id = :id;
END;
"""


def measure(setting: Setting) -> list[Row]:
    repetitions = setting.repetitions(9, 3)
    rates: dict[bool, list[float]] = {True: [], False: []}
    with durable(setting) as slow, all_rebuilt(slow, "p", slow.users) as example:
        script = setting.directory / "all_tables.sql"
        script.write_text(SCRIPT.replace(":users", str(slow.users)), encoding="utf-8")
        example.swap("prepare")
        triggers = swap_triggers(example)
        for n in range(-1, repetitions):  # the first pair warms up and is not counted
            for on in (True, False) if n % 2 == 0 else (False, True):
                switch(example, triggers, on=on)
                rate = pgbench(slow, example, script)
                if n >= 0:
                    rates[on].append(rate)
            setting.say(f"  pair {n + 1} of {repetitions}")
        tables = len({table for table, _ in triggers})
    what = f"pgbench over users and references, capture on {tables} tables on / off, durable, {CLIENTS} clients, {slow.users:,} users"
    raw = f"on {series(rates[True], ' tps', 0)}, off {series(rates[False], ' tps', 0)}"
    return [Row("p", what, pairwise_ratio(rates[True], rates[False]), raw, Target("at least", 0.85))]
