"""A stateful fake of GitHub's REST API: repositories, issues, pulls, comments, limits, faults."""

from openloop.testing.rigs.github.faults import (
    CutAnswer,
    Hold,
    PrimaryLimit,
    Raw,
    Redirect,
    SecondaryLimit,
)
from openloop.testing.rigs.github.rig import Call, GitHubRig
from openloop.testing.rigs.github.state import ChangedFile, GitHubState

__all__ = [
    "Call",
    "ChangedFile",
    "CutAnswer",
    "GitHubRig",
    "GitHubState",
    "Hold",
    "PrimaryLimit",
    "Raw",
    "Redirect",
    "SecondaryLimit",
]
