"""`export`, `diff`, `apply`, `import-csv`: the configuration as documents."""

import json
import os
import re
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from drsorch_cli.client import LONG, Client, as_sent
from drsorch_cli.documents import Document, read
from drsorch_cli.exits import Exit, Stop, usage
from drsorch_cli.files import write_file
from drsorch_cli.output import Output

Changes = list[dict[str, Any]]


def export(asked: Namespace, client: Client, output: Output) -> Exit:
    """The whole configuration, to a file or to stdout."""
    form = asked.format or ("json" if output.as_json and not asked.output else "yaml")
    content = client.get("/configuration", format=form).body
    if asked.output:
        path = write_file(Path(asked.output), content)
        output.result({"file": str(path), "format": form}, f"Written to {path}.")
    elif output.as_json:
        document = json.loads(content) if form == "json" else content.decode()
        output.result({"format": form, "document": document}, "")
    else:
        output.raw(content)
    return Exit.DONE


def diff(asked: Namespace, client: Client, output: Output) -> Exit:
    """What applying a document would change."""
    found = _difference(client, read(asked.file), prune=asked.prune)
    output.result(found, _told(found))
    return Exit.FAILED if asked.exit_code and found["changes"] else Exit.DONE


def apply(asked: Namespace, client: Client, output: Output) -> Exit:
    """Change the installation to what a document says: exactly what its difference showed, or nothing."""
    return _apply(asked, read(asked.file), client, output)


def import_csv(asked: Namespace, client: Client, output: Output) -> Exit:
    """The same for a table of waves alone: a whole document that was named by mistake is not applied."""
    table = read(asked.file)
    columns = re.split("[,;\t]", table.text.lstrip().partition("\n")[0].lower())
    if not {"plan", "wave"} <= {each.strip(' "\r') for each in columns}:
        text = "the first line of one names its columns: see drsorch import-csv --help. A document is for drsorch apply"
        raise usage(f"{asked.file} is no table of waves; {text}.")
    return _apply(asked, table, client, output)


def _apply(asked: Namespace, document: Document, client: Client, output: Output) -> Exit:
    digest, changes = asked.digest, True
    if not digest:
        found = _difference(client, document, prune=asked.prune)
        digest, changes = found["digest"], bool(found["changes"])
        if not changes:
            output.result({**found, "applied": False}, _told(found))
            return Exit.DONE
        output.say(_told(found))
        if not asked.yes and sys.stdin.isatty() and asked.file != "-":
            _ask("Apply these changes? [y/N] ")
    try:
        done = _sent(client, "/configuration/apply", document, {"digest": digest, "prune": asked.prune})
    except Stop as stop:
        if stop.exit_code is Exit.UNREACHABLE:
            stop.message += f" All of it may have been applied, or nothing. To find out: drsorch diff {asked.file}"
            stop.details["digest"] = digest
        raise
    secrets = done.pop("secrets", [])
    done |= {"applied": True}
    text = f"Applied: {_counted(done['changes'])}."
    if secrets:
        path = _keep_secrets(secrets, digest)
        done["secretsFile"] = str(path)
        text += f" The signing keys of new webhooks are in {path}, for its owner alone. They are shown nowhere else."
    output.result(done, text)
    return Exit.DONE


def _difference(client: Client, document: Document, *, prune: bool) -> dict[str, Any]:
    return _sent(client, "/configuration/diff", document, {"prune": prune}, again=True)


def _sent(
    client: Client, path: str, document: Document, more: dict[str, object], *, again: bool = False
) -> dict[str, Any]:
    body = {"document": document.text, **more}
    document.refuse_too_large(len(as_sent(body)))
    try:
        return client.post(path, body, again=again, seconds=LONG).record
    except Stop as stop:
        raise document.placed(stop) from stop


SIGNS = {"CREATE": "+", "UPDATE": "~", "DELETE": "-"}
WORDS = {"CREATE": "created", "UPDATE": "changed", "DELETE": "deleted"}


def _told(found: dict[str, Any]) -> str:
    """Each change with its fields, as Terraform shows a plan; the digest last."""
    changes: Changes = found["changes"]
    if not changes:
        return "Nothing differs."
    lines: list[str] = []
    for each in changes:
        lines.append(f"{SIGNS.get(each['action'], '?')} {each['kind']} “{each['name']}”")
        for name, field in each["fields"].items():
            before, after = _value(field.get("before")), _value(field.get("after"))
            lines.append(f"    {name}: {after if each['action'] == 'CREATE' else f'{before} → {after}'}")
    return "\n".join([*lines, "", f"{_counted(changes)}. Digest: {found['digest']}"])


def _value(value: Any) -> str:
    return "–" if value is None else json.dumps(value, ensure_ascii=False)


def _counted(changes: Changes) -> str:
    counts = [(sum(each["action"] == action for each in changes), word) for action, word in WORDS.items()]
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing changed"


def _ask(question: str) -> None:
    sys.stderr.write(question)
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Stop(Exit.FAILED, "Nothing was changed.")


def _keep_secrets(secrets: list[dict[str, Any]], digest: str) -> Path:
    """Never on the terminal or in a pipeline's log. Where the file cannot be written, the keys can be renewed."""
    path = Path(f"drsorch-secrets-{digest[:12]}.json").absolute()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(secrets, file)
    except OSError as error:
        text = f"The document was applied, but {path} could not be written: {error.strerror}. Renew the signing keys."
        raise Stop(Exit.FAILED, text) from error
    return path
