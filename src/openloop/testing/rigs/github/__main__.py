"""Run the fake GitHub by itself: `python -m openloop.testing.rigs.github --port 8902 --control`.

The first line on standard output is JSON with its `url`; it ends when it is told to.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from contextlib import suppress

from openloop.testing.rigs.github.control import Control
from openloop.testing.rigs.github.rig import GitHubRig


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m openloop.testing.rigs.github")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--control", action="store_true", help="serve /control as well")
    parser.add_argument("--login", default="openloop-bot", help="whose the token is")
    parser.add_argument(
        "--repository", action="append", default=[], metavar="OWNER/NAME", help="may be repeated"
    )
    arguments = parser.parse_args()
    rig = GitHubRig(
        token=os.environ.get("GITHUB_TOKEN", "ghp_rig"), login=arguments.login, port=arguments.port
    )
    for name in arguments.repository:
        rig.state.add_repository(name)
    if arguments.control:
        Control(rig).attach()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(rig))


async def _serve(rig: GitHubRig) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with rig:
        sys.stdout.write(json.dumps({"url": rig.api_url}) + "\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    main()
