"""`drsorch VERB`: ends with 0 done, 1 failed, 2 usage, 3 refused, 4 not reachable, 5 timed out waiting."""

import sys
from collections.abc import Sequence

from drsorch_cli import __version__, credentials
from drsorch_cli.client import Client
from drsorch_cli.exits import Exit, Stop
from drsorch_cli.options import Verb, parser, refuse_unset
from drsorch_cli.output import Output

UNEXPECTED = (LookupError, TypeError, AttributeError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """One command. Whatever ends it is told in one place."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    output = Output(as_json="--json" in given)
    try:
        return _ended(given, output)
    except BrokenPipeError:  # whoever read the output has seen enough
        output.close()
        return Exit.FAILED
    except OSError as error:  # what the output goes to takes no more
        output.close()
        output.say(f"drsorch: the output cannot be written: {error.strerror}.")
        return Exit.FAILED


def _ended(given: Sequence[str], output: Output) -> int:
    try:
        return _run(given, output)
    except Stop as stop:
        told = stop
    except KeyboardInterrupt:
        told = Stop(Exit.INTERRUPTED, "Interrupted. What was started goes on: drsorch runs")
    output.say(f"drsorch: {told.message}")
    if output.as_json:
        record = {"error": told.error, "message": told.message, "details": told.details}
        output.result({**record, "exitCode": int(told.exit_code)}, "")
    return told.exit_code


def _run(given: Sequence[str], output: Output) -> int:
    refuse_unset(given)
    asked = parser().parse_args(given)
    verb: Verb = asked.found
    if verb.offline:
        return int(verb.work(asked, output))
    client = Client(credentials.server())
    try:
        return int(verb.work(asked, client, output))
    except UNEXPECTED as error:  # members that this program knows are missing, or of another kind
        text = f"{client.server.address} answers otherwise than drsorch {__version__} expects"
        raise Stop(Exit.UNREACHABLE, f"{text} ({type(error).__name__}: {error}). Is it of another version?") from error


if __name__ == "__main__":
    sys.exit(main())
