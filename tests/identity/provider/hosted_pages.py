"""The provider with Cognito's addresses (tests/oidc_provider), as a process."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from identity.provider.cognito import Provider
from identity.roles import ROLES

HERE = Path(__file__).resolve().parents[2] / "oidc_provider"
CLI_CLIENT = "drsorch-client"
CLIENT, SECRET = "console-client", "a-secret-of-at-least-thirty-two-characters"
NODE = os.environ.get("NODE", "node")


class HostedPages:
    def __init__(self, port: int, cli_port: int = 0) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.cli_port = cli_port

    def control(self, **state: Any) -> dict[str, Any]:
        """Change what the provider does; answers its whole state."""
        answer: dict[str, Any] = requests.post(f"{self.url}/_control", data=json.dumps(state), timeout=5).json()
        return answer

    def provider(self) -> Provider:
        return Provider(
            issuer=self.url,
            jwks_url=f"{self.url}/.well-known/jwks.json",
            authorize_url=f"{self.url}/oauth2/authorize",
            token_url=f"{self.url}/oauth2/token",
            logout_url=f"{self.url}/logout",
            client_id=CLIENT,
            client_secret=SECRET,
            groups=tuple((f"drsorch-{role}", role) for role in ROLES),
            is_test=True,
            revoke_url=f"{self.url}/oauth2/revoke",
            cli_client_id=CLI_CLIENT if self.cli_port else "",
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def hosted_pages(console: str, cli_port: int = 0) -> Iterator[HostedPages]:
    """For a console at this address, and for a `drsorch login` to which browsers come back at that port."""
    if not (HERE / "node_modules").is_dir() or not shutil.which(NODE):
        raise RuntimeError("The test provider is not installed: script/test does it, or npm ci in tests/oidc_provider.")
    port = free_port()
    settings: dict[str, Any] = {
        "port": port,
        "clientId": CLIENT,
        "clientSecret": SECRET,
        "redirectUri": f"{console}/oidc/callback",
        "logoutUri": f"{console}/signed-out",
    }
    if cli_port:
        settings["cli"] = {"clientId": CLI_CLIENT, "redirectUri": f"http://localhost:{cli_port}/callback"}
    command = [NODE, "--import", "./old_node.js", "server.js", json.dumps(settings)]
    process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    try:
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("the test provider did not start")
        yield HostedPages(port, cli_port)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
