"""`openloop doctor`: is everything as it must be?"""

from __future__ import annotations

import click

from openloop.cli.output import Format, output_option


@click.command()
@output_option
def doctor(output: Format) -> int:
    """Look whether everything works, and say what to do if not.

    A running server is not needed, and nothing is changed. The exit status is 1 where there is a
    problem; what is merely off or inactive is none.
    """
    from openloop.cli import checkup  # noqa: PLC0415  # --help imports no psycopg

    return checkup.show(checkup.check_everything(), output)
