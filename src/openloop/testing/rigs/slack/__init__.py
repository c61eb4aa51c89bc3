"""A stateful fake of Slack: Web API, events, Socket Mode, buttons, and dials for faults."""

from openloop.testing.rigs.slack.delivery import Delivery, Parcel
from openloop.testing.rigs.slack.faults import SlackFaults
from openloop.testing.rigs.slack.messages import Button, Message, Reaction
from openloop.testing.rigs.slack.people import Channel, Person, PersonKind, UserGroup
from openloop.testing.rigs.slack.rig import SlackRig
from openloop.testing.rigs.slack.web_api import Call
from openloop.testing.rigs.slack.wire import sign, signed_headers
from openloop.testing.rigs.slack.workspace import Ephemeral, Status, Workspace

__all__ = [
    "Button",
    "Call",
    "Channel",
    "Delivery",
    "Ephemeral",
    "Message",
    "Parcel",
    "Person",
    "PersonKind",
    "Reaction",
    "SlackFaults",
    "SlackRig",
    "Status",
    "UserGroup",
    "Workspace",
    "sign",
    "signed_headers",
]
