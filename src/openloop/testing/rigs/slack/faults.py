"""The dials of the Slack rig: faults of single calls, and how badly deliveries travel."""

from openloop.testing.rigs.faults import FaultPlan


class SlackFaults(FaultPlan):
    """Everything that can go wrong between Slack and the app, seeded.

    `duplicates`: each delivery is sent 1 to N times. `delay_seconds`: each waits a random time in
    this range first; a wide range also reorders. `reorder`: deliveries leave in shuffled groups of
    this size. `token_error`: every call is refused with this code (`token_expired`,
    `invalid_auth`, `token_revoked`, `account_inactive`) until it is None again.
    """

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__(seed=seed)
        self.duplicates = 1
        self.delay_seconds: tuple[float, float] = (0.0, 0.0)
        self.reorder = 1
        self.token_error: str | None = None

    def clear(self) -> None:
        super().clear()
        self.duplicates = 1
        self.delay_seconds = (0.0, 0.0)
        self.reorder = 1
        self.token_error = None

    def draw_copies(self) -> int:
        return self.random.randint(1, self.duplicates) if self.duplicates > 1 else 1

    def draw_delay_seconds(self) -> float:
        low, high = self.delay_seconds
        return self.random.uniform(low, high) if high > 0 else 0.0
