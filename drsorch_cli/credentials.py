"""Where the server is and with which token: the environment, or the file that `drsorch login` writes.

A token is never an argument, because everybody on a host sees those, and is sent to no address but its own.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drsorch_cli.exits import Dropped, Stop, usage
from drsorch_cli.files import write_whole
from drsorch_cli.oidc.session import MARGIN, Session
from drsorch_cli.server import Server, address_of, checked_token

if sys.platform != "win32":
    import fcntl


@dataclass
class Kept:
    """What the file says: an address, and what opens it, a token or a session at the identity provider."""

    address: str
    opens: str | Session

    def bearer(self) -> str:
        """The token that opens it now. A session is renewed a minute before its ID token ends. Raises Stop, Dropped."""
        if isinstance(self.opens, str):
            return self.opens
        if not self.opens.is_good(MARGIN):
            with _locked():
                self.opens = self._renewed(self.opens)
        return self.opens.id_token

    def _renewed(self, session: Session) -> Session:
        """By one process of several: a provider may take each refresh token once."""
        kept = _kept()
        if kept is not None and kept.address == self.address and isinstance(kept.opens, Session):
            session = kept.opens
        if session.is_good(MARGIN):
            return session
        try:
            session = session.renewed(self.address)
        except Dropped:
            if session.is_good():  # a provider that is silent stops nobody before that
                return session
            raise
        if kept is not None:  # else login goes on, or somebody has signed out meanwhile
            keep(Kept(self.address, session))
        return session


def login_file() -> Path:
    """The one file that this program keeps."""
    folder = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(folder) / "drsorch" / "login.json"


def server() -> Server:
    """The server to talk to. The environment comes first, the file of `login` second. Raises Stop."""
    given, token = os.environ.get("DRSORCH_URL", ""), token_of_environment()
    address = address_of(given) if given else ""
    if address and token:
        return Server.with_token(address, token)
    kept = _kept()
    if kept is None:
        missing = "DRSORCH_TOKEN" if address else "DRSORCH_URL"
        raise usage(f"{missing} is not set, and nobody has signed in here. Set it, or run drsorch login.")
    if token:
        return Server.with_token(kept.address, token)
    if address and address != kept.address:
        raise usage(f"The token of drsorch login is for {kept.address}, not for {address}. Set DRSORCH_TOKEN.")
    return Server(kept.address, kept.bearer)


def token_of_environment() -> str:
    """The token that the environment says, or names a file of; empty for none. Raises Stop."""
    token, path = os.environ.get("DRSORCH_TOKEN", ""), os.environ.get("DRSORCH_TOKEN_FILE", "")
    if path and not token:
        try:
            token = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is no text in UTF-8"
            raise usage(f"DRSORCH_TOKEN_FILE cannot be read: {reason}.") from None
    return checked_token(token) if token else ""


def _kept() -> Kept | None:
    path = login_file()
    try:
        mode = path.stat().st_mode & 0o077
        kept = json.loads(path.read_text())
        opens = Session.read(kept["session"]) if "session" in kept else checked_token(kept["token"])
        found = Kept(address_of(kept["url"]), opens)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, Stop):
        raise usage(f"{path} cannot be used. Run drsorch login again.") from None
    if mode and os.name == "posix":
        raise usage(f"Others may read {path}, which has a token. Run: chmod 600 {path}")
    return found


def keep(found: Kept) -> Path:
    """Write the file of `login`, readable by its owner alone from its first moment on. Raises Stop."""
    path = login_file()
    opens = {"token": found.opens} if isinstance(found.opens, str) else {"session": found.opens.record}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, json.dumps({"url": found.address, **opens}).encode(), private=True)
    except OSError as error:
        raise usage(f"{path} cannot be written: {error.strerror}.") from error
    return path


def forget() -> bool:
    """Remove the file of `login`, and have the provider forget a session; answers whether there was a file."""
    try:
        kept = _kept()
    except Stop:  # it cannot be used: all the more it goes
        kept = None
    try:
        login_file().unlink()
    except FileNotFoundError:
        return False
    if kept is not None and isinstance(kept.opens, Session):
        kept.opens.revoke()
    return True


@contextmanager
def _locked() -> Iterator[None]:
    """One process at a time, for as long as one question to the provider takes. Raises Stop."""
    if sys.platform == "win32":  # there, two commands at a time may ask for a token each
        yield
        return
    path = login_file().with_suffix(".lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        raise usage(f"{path} cannot be written: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
