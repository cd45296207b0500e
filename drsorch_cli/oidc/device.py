"""Signing in with a browser on any machine (RFC 8628), at providers that can. Cognito cannot."""

import time
from typing import Any

from drsorch_cli.exits import Dropped, Exit, Stop
from drsorch_cli.oidc.provider import Provider, ask
from drsorch_cli.oidc.session import Session
from drsorch_cli.output import Output

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL = 5.0  # seconds, as RFC 8628 has it where a provider says nothing
LONGEST = 1800.0
NOT_FOR_US = frozenset({"unauthorized_client", "invalid_client", "unsupported_grant_type"})


def sign_in(provider: Provider, output: Output) -> Session | None:
    """Have somebody sign in with the code that is shown; None where the provider has this for other clients alone.
    Raises Stop."""
    try:
        status, told = ask(provider.device_endpoint, {"client_id": provider.client_id, "scope": provider.scope})
    except Dropped as dropped:
        raise Stop(Exit.UNREACHABLE, f"The identity provider cannot be reached: {dropped.reason}.") from dropped
    if told.get("error") in NOT_FOR_US:
        return None
    code, address = told.get("device_code"), told.get("verification_uri_complete") or told.get("verification_uri")
    if status != 200 or not isinstance(code, str) or not isinstance(address, str):
        raise Stop(Exit.REFUSED, f"The identity provider gave no code: it answered {status}.")
    output.say(f"Sign in with any browser:\n\n  {address}\n\nIt must show the code {told.get('user_code', '?')}.")
    return Session.of(provider, _until_signed_in(provider, code, told), None)


def _until_signed_in(provider: Provider, code: str, told: dict[str, Any]) -> dict[str, Any]:
    """The token endpoint's answer, once somebody has signed in. Raises Stop."""
    pause = _number(told.get("interval"), INTERVAL)
    deadline = time.monotonic() + min(_number(told.get("expires_in"), LONGEST), LONGEST)
    form = {"grant_type": GRANT, "client_id": provider.client_id, "device_code": code}
    while time.monotonic() < deadline:
        time.sleep(pause)
        try:
            status, answer = ask(provider.token_endpoint, form)
        except Dropped:
            pause *= 2  # as RFC 8628 asks for
            continue
        if status == 200:
            return answer
        error = answer.get("error")
        if error == "slow_down":
            pause += 5
        elif error == "expired_token":
            break
        elif error != "authorization_pending" and status < 500:
            raise Stop(Exit.REFUSED, f"The identity provider has refused the sign-in: {str(error)[:100]}.")
    raise Stop(Exit.TIMED_OUT, "Nobody signed in before the code expired. Run it again.")


def _number(value: object, otherwise: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10**6
    return float(value) if is_number else otherwise  # type: ignore[arg-type]  # it is a number
