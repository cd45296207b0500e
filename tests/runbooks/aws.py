"""Stands for the AWS command line in a bash of tests: `aws SERVICE OPERATION --name value`, by botocore's own model,
against the simulator. Shorthand values as the real one has them, as far as runbooks use them.
"""

import socketserver
import subprocess
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import boto3
import jmespath  # type: ignore[import-untyped]
from botocore import xform_name
from botocore.exceptions import ClientError

from drs_simulator.testing import ACCESS_KEY, SECRET, RunningSimulator

# Each call is a connection: the number of its words, the words; the answer is its exit status and what it prints.
SHELL = """set -e
aws() {{ local status; exec 3<>/dev/tcp/127.0.0.1/{port}; printf '%s\\0' "$#" "$@" >&3; read -r status <&3; cat <&3
  exec 3>&-; return "$status"; }}
sleep() {{ aws sleep "$1"; }}
"""


def options(words: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name = word[2:]
            found[name] = []
        else:
            found[name].append(word)
    return found


def value(shape: Any, given: Sequence[str]) -> Any:
    """What the words of an option mean for a member of the model."""
    match shape.type_name:
        case "list":
            return [value(shape.member, [word]) for word in given]
        case "map":
            return dict(pair.split("=", 1) for pair in given[0].split(","))
        case "structure":
            return structure(shape, given[0])
        case "boolean":
            return True
        case _:
            return given[0]


def structure(shape: Any, text: str) -> dict[str, Any]:
    """`a=1,b=2,3`: a word without a name goes on with the list of the name before."""
    found: dict[str, list[str]] = {}
    name = ""
    for word in text.split(","):
        if "=" in word:
            name, _, word = word.partition("=")
        found.setdefault(name, []).append(word)
    return {each: value(shape.members[each], words) for each, words in found.items()}


def printed(found: Any) -> str:
    if not isinstance(found, list):
        return str(found)
    rows = ["\t".join(map(str, each)) if isinstance(each, list) else str(each) for each in found]
    return ("\n" if any(isinstance(each, list) for each in found) else "\t").join(rows)


@cache
def client_of(url: str, service: str, region: str) -> Any:
    made: Any = boto3
    return made.client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET,
    )


def answer(url: str, service: str, operation: str, *words: str) -> str:
    """What the command prints. Raises KeyError for options that the operation does not have, and ClientError."""
    given = options(words)
    query, output, region = given.pop("query")[0], given.pop("output"), given.pop("region", ["us-east-1"])[0]
    assert output == ["text"]
    client, method = client_of(url, service, region), operation.replace("-", "_")
    named = {xform_name(each): each for each in client.meta.service_model.operation_names}
    shape = client.meta.service_model.operation_model(named[method]).input_shape
    members = {xform_name(each, "-"): (each, member) for each, member in shape.members.items()} if shape else {}
    request: dict[str, Any] = {}
    for name, texts in given.items():
        key, member = members[name.removeprefix("no-")]
        request[key] = False if name.startswith("no-") else value(member, texts)
    many = client.can_paginate(method)
    pages = client.get_paginator(method).paginate(**request) if many else [getattr(client, method)(**request)]
    found = [jmespath.search(query, page) for page in pages]
    texts = [printed(each) for each in found if each not in (None, [])]
    return "".join(f"{each}\n" for each in texts)


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        words = [self._word() for _ in range(int(self._word()))]
        simulator: RunningSimulator = self.server.simulator  # type: ignore[attr-defined]
        try:
            text = self._sleep(simulator) if words[0] == "sleep" else answer(simulator.url, *words)
        except (ClientError, KeyError) as error:
            self.wfile.write(f"1\n{error!r}\n".encode())
        else:
            self.wfile.write(f"0\n{text}".encode())

    def _word(self) -> str:
        found = b""
        while (each := self.rfile.read(1)) not in (b"\0", b""):
            found += each
        return found.decode()

    def _sleep(self, simulator: RunningSimulator) -> str:
        simulator.advance(300)
        return ""


def typed(simulator: RunningSimulator, commands: Sequence[str]) -> str:
    """What a bash prints into which these lines are typed; five minutes pass with each `sleep`."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.simulator = simulator  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        script = SHELL.format(port=server.server_address[1]) + "\n".join(commands)
        bash = ["bash", "-c", script]
        done = subprocess.run(bash, capture_output=True, text=True, timeout=60, check=False)
        server.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
