"""`python -m drs_simulator`: the simulator without Django, for tests that kill it."""

import argparse
from pathlib import Path

from drs_simulator.server import add_arguments, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulator", description=__doc__)
    add_arguments(parser, Path("simulator.sqlite3"))
    options = parser.parse_args()
    run(
        options.host,
        options.port,
        options.state,
        options.fleet,
        options.speed,
        say=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    main()
