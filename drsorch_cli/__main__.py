"""`drsorch VERB`: ends with 0 done, 1 failed, 2 usage, 3 refused, 4 not reachable, 5 timed out waiting."""

import os
import sys
from collections.abc import Sequence

from drsorch_cli import credentials
from drsorch_cli.client import Client
from drsorch_cli.exits import Exit, Stop
from drsorch_cli.options import Verb, parser
from drsorch_cli.output import Output


def main(arguments: Sequence[str] | None = None) -> int:
    """One command. Whatever ends it is told in one place."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    output = Output(as_json="--json" in given)
    try:
        return _run(given, output)
    except Stop as stop:
        output.say(f"drsorch: {stop.message}")
        if output.as_json:
            told = {"error": stop.error, "message": stop.message, "details": stop.details}
            output.result({**told, "exitCode": int(stop.exit_code)}, "")
        return stop.exit_code
    except KeyboardInterrupt:
        output.say("Interrupted. What was started goes on: drsorch runs")
        return Exit.INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED


def _run(given: Sequence[str], output: Output) -> int:
    asked = parser().parse_args(given)
    verb: Verb = asked.found
    if verb.offline:
        return int(verb.work(asked, output))
    return int(verb.work(asked, Client(credentials.server()), output))


if __name__ == "__main__":
    sys.exit(main())
