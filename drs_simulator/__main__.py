"""`python -m drs_simulator`, or `drs-simulator` where it is installed: a DRS to test against."""

import argparse
from pathlib import Path

from drs_simulator.server import add_arguments, run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="drs-simulator",
        description="A simulated AWS DRS. Clients reach it with AWS_ENDPOINT_URL_DRS=http://127.0.0.1:PORT",
    )
    add_arguments(parser, Path("simulator.sqlite3"))
    options = parser.parse_args()
    run(
        options.host,
        options.port,
        options.state,
        options.fleet,
        options.speed,
        say=lambda line: print(line, flush=True),
        scenarios=options.scenario,
    )


if __name__ == "__main__":
    main()
