"""`--metrics-port` and `--metrics-bind`: nothing of them is loaded where they are not given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swap.core.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from swap.cli.run_metrics import RunCollector
    from swap.cli.session import Session


@dataclass(frozen=True)
class MetricsPort:
    """`port` None: no metrics. `address` None: this machine only."""

    port: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.address is not None and self.port is None:
            raise UsageError("--metrics-bind says where --metrics-port listens.", hint="Add --metrics-port PORT.")

    @contextmanager
    def serving(self, s: Session, registry: CollectorRegistry | None = None) -> Iterator[RunCollector | None]:
        """Serve the run's metrics, and those of `registry`, during the block. Raises UsageError."""
        if self.port is None:
            yield None
            return
        from swap.cli.run_metrics import serving

        with serving(s, self.port, self.address, registry) as collector:
            yield collector
