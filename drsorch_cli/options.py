"""The command line: every verb with its options, its help and what it leads to."""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from drsorch_cli import __version__
from drsorch_cli.exits import usage
from drsorch_cli.verbs import assistants, checks, configuration, login, results, runs, starts

STATUSES = ("PENDING", "RUNNING", "POLLING", "LAUNCHING", "PAUSED", "CANCELLING")
ENDED = ("COMPLETED", "PARTIAL", "FAILED", "CANCELLED")
SHELLS = ("bash", "zsh", "fish")

DESCRIPTION = """\
Runs drills and recoveries of DRS Orchestration, and keeps its configuration in files.
Options stand after the verb. PLAN is a plan's name or id, RUN a run's number or id, FILE a path or - for stdin.
"""
EPILOG = """\
environment:
  DRSORCH_URL         address of the server, such as https://drsorch.example.com
  DRSORCH_TOKEN       a token: of Settings > Tokens, of manage.py service_token, or a person's
  DRSORCH_TOKEN_FILE  a file that holds it
  BROWSER             the browser that login opens
  DRSORCH_PLAIN_HTTP  true allows http:// to another host than this one
  SSL_CERT_FILE       certificates to trust instead of the system's

files:
  ~/.config/drsorch/login.json   what drsorch login keeps, for its owner alone (XDG_CONFIG_HOME)

exit status:
  0  done
  1  failed: a run fell short, a pack does not hold, a check failed
  2  used wrongly, or set up wrongly
  3  refused by the server (4xx); it says why
  4  the server cannot be reached
  5  timed out waiting; the run goes on

A token is never an argument, because everybody on a host can see those.
"""


class _Parser(argparse.ArgumentParser):
    """Like argparse's, with our way to end."""

    def error(self, message: str) -> NoReturn:
        raise usage(f"{message[:1].upper()}{message[1:]}. See {self.prog} --help")


MAY_BE_EMPTY = ("--comment", "--initiated-by", "--reason")


def refuse_unset(given: Sequence[str]) -> None:
    """What a script passes that meant a variable which is not set: without a digest anything would be applied, without
    a key started twice. And what is no text. Raises Stop."""
    for number, each in enumerate(given):
        if not each.isascii() and any("\ud800" <= letter <= "\udfff" for letter in each):
            raise usage(f"{each!a} is no text in UTF-8.")
        name = given[number - 1] if not each and number else each.removesuffix("=")
        is_empty = not each or (each.endswith("=") and re.fullmatch("--[a-z-]+=", each))
        if is_empty and name.startswith("--") and name not in MAY_BE_EMPTY:
            raise usage(f"{name} is empty. Is a variable not set? Leave the option out if it is not meant.")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Verbs and what they do in two columns: argparse forgets that verbs are indented once more."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length = max(self._action_max_length, *(len(name) + 6 for name in action.choices))


@dataclass(frozen=True)
class Verb:
    """One verb: `work` takes what was asked, a client unless it is `offline`, and the output."""

    name: str
    about: str
    work: Callable[..., Any]
    options: Callable[[argparse.ArgumentParser], None]
    more: str = ""
    examples: Sequence[str] = ()
    offline: bool = False


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    form = partial(_Help, max_help_position=26)
    top = _Parser(prog="drsorch", description=DESCRIPTION, epilog=EPILOG, formatter_class=form, allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"drsorch {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", title="verbs", required=True, parser_class=_Parser)
    for verb in VERBS:
        text = f"{verb.about}.\n\n{verb.more}".strip()
        epilog = "examples:\n" + "\n".join(f"  {each}" for each in verb.examples) if verb.examples else None
        made = verbs.add_parser(
            verb.name, help=verb.about, description=text, epilog=epilog, formatter_class=form, allow_abbrev=False
        )
        made.set_defaults(found=verb)
        verb.options(made)
        made.add_argument("--json", action="store_true", help="one JSON object on stdout, also when it is refused")
    return top


def _none(made: argparse.ArgumentParser) -> None:
    """No options of its own."""


def _login(made: argparse.ArgumentParser) -> None:
    made.add_argument("url", nargs="?", metavar="URL", help="the server's address; otherwise DRSORCH_URL")
    made.add_argument("--browser", action="store_true", help="sign in with a browser on this machine")
    made.add_argument(
        "--port", type=_whole(1, 65_535), metavar="PORT", help="where that comes back to; 8401 to 8403 by default"
    )
    made.add_argument("--token", action="store_true", help="on a terminal, too, ask for a token")
    made.add_argument("--forget", action="store_true", help="sign out: remove what is kept")


def _export(made: argparse.ArgumentParser) -> None:
    made.add_argument("--format", choices=["yaml", "json", "csv"], help="yaml by default; csv has waves alone")
    made.add_argument("--output", metavar="PATH", help="write there instead of to stdout")


def _document(made: argparse.ArgumentParser) -> None:
    made.add_argument("file", metavar="FILE", help="a document, a directory of them, or - for stdin")
    made.add_argument("--prune", action="store_true", help="delete what the document does not name")


def _diff(made: argparse.ArgumentParser) -> None:
    _document(made)
    made.add_argument("--exit-code", action="store_true", help="end with 1 if anything differs")


def _apply(made: argparse.ArgumentParser) -> None:
    _document(made)
    made.add_argument("--digest", default="", help="apply only what a diff with this digest showed")
    made.add_argument("--yes", action="store_true", help="do not ask on a terminal")


def _waits(made: argparse.ArgumentParser) -> None:
    made.add_argument("--wait", action="store_true", help="wait until it is over; a broken connection ends no waiting")
    made.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="wait no longer than that; without it, as long as it takes"
    )


def _starts(made: argparse.ArgumentParser) -> None:
    made.add_argument("plan", metavar="PLAN", help="the name or the id of a recovery plan")
    _waits(made)
    made.add_argument(
        "--point-in-time",
        action="append",
        metavar="TIME",
        help="launch from the newest snapshots that are not after it; or SERVER=SNAPSHOT for each server",
    )
    made.add_argument("--dry-run", action="store_true", help="check every server and launch nothing")
    made.add_argument(
        "--replace-production", action="store_true", help="agree that instances which may be production are terminated"
    )
    made.add_argument("--initiated-by", default="", metavar="WHO", help="who or what asked for it, for the record")
    made.add_argument(
        "--key", default="", help="the Idempotency-Key: with the same one nothing starts twice within a day"
    )


def _drill(made: argparse.ArgumentParser) -> None:
    _starts(made)
    made.set_defaults(yes=True)


def _recover(made: argparse.ArgumentParser) -> None:
    _starts(made)
    made.add_argument("--outage", metavar="TIME", help="when production was lost")
    made.add_argument("--yes", action="store_true", help="do not have the plan's name typed on a terminal")


def _plans(made: argparse.ArgumentParser) -> None:
    made.add_argument("name", nargs="?", default="", metavar="TEXT", help="only plans with this in their name")


def _runs(made: argparse.ArgumentParser) -> None:
    made.add_argument("--plan", metavar="PLAN", help="only runs of this plan")
    made.add_argument("--status", choices=[*STATUSES, *ENDED], help="only runs that are so")
    made.add_argument("--limit", type=_whole(1, 100), default=20, help="how many, 20 by default, 100 at most")


def _run(made: argparse.ArgumentParser) -> None:
    made.add_argument("run", metavar="RUN", help="the number or the id of a run")


def _command(made: argparse.ArgumentParser) -> None:
    _run(made)
    made.add_argument("--comment", default="", help="for the journal")


def _resume(made: argparse.ArgumentParser) -> None:
    _command(made)
    _waits(made)
    made.add_argument(
        "--wave", type=_whole(1, 9_999), metavar="NUMBER", help="only if it waits at this wave, counted from 1"
    )
    made.add_argument(
        "--check",
        action="append",
        default=[],
        metavar="NUMBER",
        help="an item of the checklist that is done, from 1; or all",
    )
    made.add_argument(
        "--break-glass", action="store_true", help="go on without the approvals that the gate needs; everybody is told"
    )
    made.add_argument("--reason", default="", help="why the glass is broken")


def _approve(made: argparse.ArgumentParser) -> None:
    _command(made)
    made.add_argument("--digest", default="", help="of what was looked at; without it the gate is shown")
    made.add_argument(
        "--check",
        action="append",
        default=[],
        metavar="NUMBER",
        help="an item of the checklist that is done, from 1; or all",
    )
    made.add_argument("--decline", action="store_true", help="say no: the run goes on waiting")
    made.add_argument("--reason", default="", help="why not")


def _ends(made: argparse.ArgumentParser) -> None:
    _command(made)
    _waits(made)


def _terminate(made: argparse.ArgumentParser) -> None:
    _ends(made)
    made.add_argument("--yes", action="store_true", help="a recovery's instances are meant; nothing is typed")


def _report(made: argparse.ArgumentParser) -> None:
    _run(made)
    made.add_argument("--format", choices=["json", "csv", "pdf"], help="instead of a summary; a PDF is always a file")
    _made_file(made)


def _made_file(made: argparse.ArgumentParser) -> None:
    made.add_argument("--output", metavar="PATH", help="write there")
    made.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="how long an engine may take to make it, 600 by default"
    )


def _evidence(made: argparse.ArgumentParser) -> None:
    _run(made)
    _made_file(made)


def _verify(made: argparse.ArgumentParser) -> None:
    made.add_argument("pack", metavar="PACK", help="the ZIP file")
    made.add_argument(
        "--head",
        type=_head,
        default="",
        metavar="SEQ:DIGEST",
        help="a head of the journal noted elsewhere: must be in it",
    )


def _doctor(made: argparse.ArgumentParser) -> None:
    made.add_argument("--plan", metavar="PLAN", help="only this plan's servers")
    made.add_argument("--region", help="only this region")
    made.add_argument("--account", metavar="ID", help="only this AWS account")


def _mcp(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--allow-start", action="store_true", help="let it ask a person for a drill; it still starts nothing itself"
    )


def _completion(made: argparse.ArgumentParser) -> None:
    made.add_argument("shell", choices=SHELLS)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, such as 600")
    return seconds


def _head(text: str) -> str:
    if text and not re.fullmatch("[0-9]+:[0-9a-f]{64}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no head of a journal: a number, a colon and 64 hex digits")
    return text


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return read


def _complete(asked: argparse.Namespace, output: Any) -> Any:
    from drsorch_cli.completion import complete  # it reads this table

    return complete(asked, output)


VERBS = (
    Verb("login", "Sign in at a server", login.login, _login, offline=True,
         more="On a terminal, through the organization's identity provider where the server has one: with a browser on"
         "\nthis machine or, if the provider can, with a code for a browser anywhere. Otherwise a token is asked for,"
         "\nor read from stdin or DRSORCH_TOKEN. What opens the server is kept once the server has accepted it.",
         examples=["drsorch login https://drsorch.example.com", "drsorch login https://drsorch.example.com < token",
                   "drsorch login --forget"]),
    Verb("export", "Write the configuration as a document", configuration.export, _export,
         more="Protection groups, recovery plans and subscriptions, in an order that does not change, without ids.",
         examples=["drsorch export --output drsorch.yaml", "drsorch export --format csv --output waves.csv"]),
    Verb("diff", "Show what applying a document would change", configuration.diff, _diff,
         examples=["drsorch diff drsorch.yaml", "drsorch diff drsorch.yaml --prune --exit-code"]),
    Verb("apply", "Change the configuration to what a document says", configuration.apply, _apply,
         more="Exactly what the diff showed is applied, all of it or nothing: if anybody changed something meanwhile,"
         "\nit is refused. On a terminal it asks first. Signing keys of new webhooks go to a file of mode 0600."
         "\nThe .yaml, .yml and .json files below a directory are one document together.",
         examples=["drsorch apply drsorch.yaml", "drsorch apply drsorch.yaml --digest 5f1c…"]),
    Verb("import-csv", "Change the waves of plans to what a CSV file says", configuration.import_csv, _apply,
         more="Columns: plan,wave,waveName,group,region,server,optional,pauseBefore. Otherwise as apply.",
         examples=["drsorch import-csv waves.csv"]),
    Verb("drill", "Start a drill", starts.drill, _drill,
         more="A start that is sent again, because its answer was lost, never launches twice.",
         examples=["drsorch drill 'Payments failover' --wait --timeout 7200",
                   "drsorch drill 'Payments failover' --point-in-time 2026-11-29T02:00:00Z"]),
    Verb("recover", "Start a recovery", starts.recover, _recover,
         more="On a terminal the plan's name is typed first. Production instances that stand in the way are named by"
         "\nthe server, and go only with --replace-production.",
         examples=["drsorch recover 'Payments failover' --outage 2026-11-29T02:10:00Z --wait"]),
    Verb("plans", "List recovery plans", runs.plans, _plans, examples=["drsorch plans", "drsorch plans payments"]),
    Verb("runs", "List runs, newest first", runs.runs, _runs, examples=["drsorch runs --status PAUSED"]),
    Verb("show", "Show a run", runs.show, _run, examples=["drsorch show 117"]),
    Verb("resume", "Let a paused run go on", runs.resume, _resume,
         more="Of a recovery it takes the right to start one.",
         examples=["drsorch resume 117 --comment 'Databases answer.' --wait"]),
    Verb("approve", "Approve at a gate, or decline", runs.approve, _approve,
         more="Shows what is waited for and asks. A program's token approves nothing: this takes a person's.",
         examples=["drsorch approve 117", "drsorch approve 117 --digest 5f1c… --check all"]),
    Verb("cancel", "Stop a run: the wave that runs ends first", runs.cancel, _ends),
    Verb("terminate", "Terminate the instances of a finished run", runs.terminate, _terminate,
         more="Of a recovery the plan's name is typed first; where there is no terminal, --yes says that it is meant.",
         examples=["drsorch terminate 117 --wait"]),
    Verb("report", "Show what a finished run did and achieved", results.report, _report,
         examples=["drsorch report 117", "drsorch report 117 --format pdf --output drill.pdf"]),
    Verb("evidence", "Write the evidence pack of a finished run", results.evidence, _evidence,
         more="evidence-RUN.zip in the working directory, or --output."),
    Verb("verify", "Check an evidence pack offline", results.verify, _verify, offline=True,
         more="As drsorch-verify does. It ends with 1 if the pack does not hold."),
    Verb("doctor", "Check whether a recovery would work here", checks.doctor, _doctor,
         more="It ends with 1 if something failed."),
    Verb("mcp", "Serve an assistant over stdin and stdout", assistants.serve, _mcp,
         more="The Model Context Protocol: plans, readiness, runs, reports, the ledger and events to look at. It"
         "\nchanges nothing. With --allow-start it can ask for a drill, which a person starts in the console within"
         "\nan hour, or not; for a recovery it cannot ask. Give it a token of its own in the role viewer. It takes the"
         "\nMCP SDK: pipx install './drsorch_cli[mcp]'",
         examples=["drsorch mcp", "drsorch mcp --allow-start"]),
    Verb("completion", "Print a script that completes commands in a shell", _complete, _completion, offline=True,
         examples=["eval \"$(drsorch completion bash)\"", "drsorch completion fish | source"]),
)  # fmt: skip
