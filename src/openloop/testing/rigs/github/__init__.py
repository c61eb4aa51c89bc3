"""A stateful fake of GitHub's REST API: repositories, issues, pulls, comments, limits, faults."""

from openloop.testing.rigs.github.calls import Call
from openloop.testing.rigs.github.faults import (
    CutAnswer,
    Hold,
    PrimaryLimit,
    Raw,
    Redirect,
    SecondaryLimit,
)
from openloop.testing.rigs.github.happened import Happened
from openloop.testing.rigs.github.rig import GitHubRig
from openloop.testing.rigs.github.rows import ActionsStep, ChangedFile, CheckButton, JobPlan
from openloop.testing.rigs.github.state import GitHubState

__all__ = [
    "ActionsStep",
    "Call",
    "ChangedFile",
    "CheckButton",
    "CutAnswer",
    "GitHubRig",
    "GitHubState",
    "Happened",
    "Hold",
    "JobPlan",
    "PrimaryLimit",
    "Raw",
    "Redirect",
    "SecondaryLimit",
]
