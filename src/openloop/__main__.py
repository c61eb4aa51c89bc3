"""`python -m openloop`."""

import sys

from openloop.cli import main

if __name__ == "__main__":
    sys.exit(main())
