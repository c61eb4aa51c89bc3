"""The Slack rig in a process of its own: `python -m openloop.testing.rigs.slack --control`.

The first line on stdout is a JSON object with the addresses; then it runs until SIGINT or SIGTERM.
"""

import argparse
import asyncio
import json
import signal
import sys

from openloop.testing.rigs.slack.control import Control
from openloop.testing.rigs.slack.rig import SlackRig


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m openloop.testing.rigs.slack")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--control", action="store_true", help="answer under /control")
    parser.add_argument("--deliver-to", metavar="URL", help="the app's request URL")
    parser.add_argument("--signing-secret", default="rig-signing-secret")
    parser.add_argument("--bot-token", default="xoxb-rig")
    parser.add_argument("--app-token", default="xapp-rig")
    parser.add_argument("--team-id", default="T0ACME")
    parser.add_argument("--time-scale", type=float, default=1.0)
    parser.add_argument("--ack-deadline-seconds", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> None:
    rig = SlackRig(
        signing_secret=options.signing_secret,
        bot_token=options.bot_token,
        app_token=options.app_token,
        team_id=options.team_id,
        time_scale=options.time_scale,
        ack_deadline_seconds=options.ack_deadline_seconds,
        deliver_to=options.deliver_to,
        port=options.port,
        seed=options.seed,
    )
    if options.control:
        rig.server.route("control", Control(rig).serve)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with rig:
        addresses = {"api_url": rig.api_url, "url": rig.url}
        if options.control:
            addresses["control_url"] = f"{rig.url}/control/"
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_run(_options()))
