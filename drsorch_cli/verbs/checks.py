"""`doctor`."""

from argparse import Namespace

from drsorch_cli.client import Client
from drsorch_cli.exits import Exit
from drsorch_cli.output import Output, table


def doctor(asked: Namespace, client: Client, output: Output) -> Exit:
    """Would a recovery work here? The server checks itself, its account and its servers."""
    found = client.get("/doctor", account=asked.account, region=asked.region, plan=asked.plan).record
    rows = [[each["status"], each["check"], each["subject"], each["message"]] for each in found["checks"]]
    remedies = [f"- {each['message']} {each['remedy']}" for each in found["checks"] if each["remedy"]]
    text = table(["RESULT", "CHECK", "WHAT", "FOUND"], rows)
    text += "\n\nWhat to do:\n" + "\n".join(remedies) if remedies else ""
    output.result(found, text)
    return Exit.DONE if found["ok"] else Exit.FAILED
