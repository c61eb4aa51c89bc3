"""Kills, clicks and outages: nothing lost, nothing twice, nothing stuck.

What is promised is counted in two places that do not know each other: in what the rigs received,
and in the rows.
"""

from __future__ import annotations

from bench import recovery_kills, recovery_outages
from bench.measuring import Outcome


async def measure() -> Outcome:
    """Every accident in turn, on two installations."""
    kills = await recovery_kills.measure()
    outages = await recovery_outages.measure()
    return Outcome(figures=[*kills, *outages])
