"""The metrics have no password: they are for this machine, unless an operator names another address."""

from __future__ import annotations

import urllib.request
from typing import Any

import psutil
import pytest
from prometheus_client import CollectorRegistry

from swap.core.errors import UsageError
from swap.state.metrics import served
from tests.support.commands import Cli, RunningCli
from tests.support.operator import MakeOperator, Operator
from verify.metrics import Metrics


def listens(running: RunningCli) -> str:
    """The one address on which the command listens."""
    port = int(running.wait_line(r"metrics on port (\d+)").rsplit(" ", 1)[1])
    found: list[Any] = [c.laddr for c in psutil.Process(running.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert [a.port for a in found] == [port]
    return str(found[0].ip)


def start(op: Operator, *bind: str) -> RunningCli:
    return op.start("verify", "--watch", "60", "--metrics-port", "0", *bind)


@pytest.mark.parametrize(("bind", "address"), [((), "127.0.0.1"), (("--metrics-bind", "0.0.0.0"), "0.0.0.0")])
def test_where_it_listens(ready_operator: MakeOperator, bind: tuple[str, ...], address: str) -> None:
    assert listens(start(ready_operator(), *bind)) == address


def test_the_default_of_the_class_is_this_machine() -> None:
    with (
        served(Metrics("public.users").registry, 0) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer,
    ):
        assert b"swap_verify_rows" in answer.read()


def test_an_address_of_another_machine(cli: Cli) -> None:
    """192.0.2.1 is nobody's (RFC 5737). And an address without a port is a usage error."""
    with pytest.raises(UsageError, match=r"port 0 of 192\.0\.2\.1"), served(CollectorRegistry(), 0, "192.0.2.1"):
        pass
    assert cli("verify", "--metrics-bind", "0.0.0.0", check=False).code == 2
