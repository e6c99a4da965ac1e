"""Deliveries in the service's process: the couriers, and what the handlers of subscriptions need."""

from __future__ import annotations

from pathlib import Path

from anyio import CapacityLimiter, to_thread

from ledger.vault import Vault
from projections.deliveries.courier import Courier, Couriers
from projections.deliveries.sending import Sender

PINGS = 2  # at once, because each may take as long as an attempt may


class Webhooks:
    """What the handlers need, and the threads that deliver."""

    def __init__(self, conninfo: str, folder: Path, *, sending: bool, insecure: bool) -> None:
        """`folder`: where the key for secrets lies. `sending`: messages are delivered by this process."""
        self.vault = Vault(folder)
        self.sender = Sender(insecure=insecure)
        self.pings = CapacityLimiter(PINGS)
        self._couriers = Couriers(conninfo, Courier(self.sender, self.vault)) if sending else None

    def hint(self) -> None:
        """Something was written."""
        if self._couriers is not None:
            self._couriers.hint()

    async def close(self) -> None:
        """End the threads, each after the attempt that it is at."""
        if self._couriers is not None:
            await to_thread.run_sync(self._couriers.close)
