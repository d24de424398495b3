"""`python -m siprec`: the same program as the console script."""

import sys

from siprec.cli import main

if __name__ == "__main__":
    sys.exit(main())
