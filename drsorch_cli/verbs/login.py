"""`login`: a token that somebody has, or a sign-in through the organization's identity provider."""

import getpass
import os
import sys
from argparse import Namespace

from drsorch_cli import credentials
from drsorch_cli.client import Client
from drsorch_cli.credentials import Kept
from drsorch_cli.exits import Exit, Stop, usage
from drsorch_cli.oidc import browser, device
from drsorch_cli.oidc.provider import Provider, provider_of
from drsorch_cli.oidc.session import Session
from drsorch_cli.output import Output
from drsorch_cli.server import Server, address_of, checked_token


def login(asked: Namespace, output: Output) -> Exit:
    """Keep an address and what opens it for later commands, once the server has accepted that."""
    if asked.forget:
        was = credentials.forget()
        output.result({"forgotten": was}, "The sign-in is forgotten." if was else "There was nothing to forget.")
        return Exit.DONE
    given = asked.url or os.environ.get("DRSORCH_URL", "")
    if not given:
        raise usage("Say which server: drsorch login https://drsorch.example.com")
    address = address_of(given)
    kept = Kept(address, _opens(asked, address, output))
    try:
        if "plans" not in Client(Server(address, kept.bearer)).get("/recovery-plans", limit=1, fields="planId").record:
            raise Stop(Exit.UNREACHABLE, f"What answers at {address} is not DRS Orchestration.")
    except Stop:
        if isinstance(kept.opens, Session):
            kept.opens.revoke()  # nobody is to find it later
        raise
    path = credentials.keep(kept)
    told = {"url": address, "file": str(path)}
    if isinstance(kept.opens, Session):
        told["name"] = kept.opens.name
        output.result(told, f"Signed in at {address} as {kept.opens.name}. It is kept in {path}.")
    else:
        output.result(told, f"{address} accepts the token. It is kept in {path}.")
    return Exit.DONE


def _opens(asked: Namespace, address: str, output: Output) -> str | Session:
    """A token of the environment or of stdin; on a terminal, or where it is asked for, a sign-in. Raises Stop."""
    wants_sign_in = asked.browser or asked.port is not None
    token = "" if wants_sign_in else os.environ.get("DRSORCH_TOKEN", "")
    if token:
        return checked_token(token)
    if wants_sign_in or (sys.stdin.isatty() and not asked.token):
        provider = provider_of(address)
        if provider is not None:
            return _sign_in(provider, asked, output)
        if wants_sign_in:
            raise usage(f"People do not sign in at {address} with a browser for this program. It takes a token.")
    return checked_token(_read_token(address))


def _sign_in(provider: Provider, asked: Namespace, output: Output) -> Session:
    session = None
    if provider.device_endpoint and not asked.browser and asked.port is None:
        session = device.sign_in(provider, output)
    return session or browser.sign_in(provider, browser.PORTS if asked.port is None else [asked.port], output)


def _read_token(address: str) -> str:
    """Typed without being shown, or a line of stdin."""
    if sys.stdin.isatty():
        return getpass.getpass(f"Token for {address}: ")
    return sys.stdin.readline()
