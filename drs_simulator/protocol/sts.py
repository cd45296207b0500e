"""STS: who the caller is, and roles of other accounts that may be assumed with an external id.

Known: shapes, codes and sentences of AssumeRole (botocore's model, AWS's documentation); that a wrong external id, a
trust policy that does not name the caller and a role that does not exist are told with the same AccessDenied; that
sessions stay good until they expire when a trust policy is changed. Likely: that sessions of a deleted role are refused
as unknown tokens.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from drs_simulator.protocol.call_log import Call
from drs_simulator.world import scenarios
from drs_simulator.world.clock import timestamp
from drs_simulator.world.errors import ApiError
from drs_simulator.world.state_file import Store

IDENTITY, ASSUME = "GetCallerIdentity", "AssumeRole"
QUERIES = {IDENTITY: "sts", ASSUME: "sts"}
SESSION_SECONDS = 3600.0
NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass(frozen=True)
class Caller:
    """Who signed a request."""

    account: str
    arn: str


def caller(store: Store, access_key: str, token: str) -> Caller:
    """By the key that was handed out with a role, else by those of the fleet. Raises ApiError for a session that has
    expired, or that nobody knows."""
    if not access_key.startswith("ASIA"):
        account = store.accounts.get(access_key, store.account)
        return Caller(account, f"arn:aws:iam::{account}:user/simulator")
    row = store.one("SELECT * FROM role_session WHERE access_key = ?", access_key)
    if row is None or row["token"] != token or row["role"] not in store.roles:
        raise ApiError("UnrecognizedClientException", "The security token included in the request is invalid.")
    if store.clock.wall() >= row["expires"]:
        raise ApiError("ExpiredTokenException", "The security token included in the request is expired")
    name = row["role"].rpartition("/")[2]
    return Caller(row["account"], f"arn:aws:sts::{row['account']}:assumed-role/{name}/{row['name']}")


def target(operation: str, params: Mapping[str, object], account: str) -> str:
    """The account that a call is about: of AssumeRole that of the role."""
    parts = str(params.get("RoleArn", "")).split(":")
    return parts[4] if operation == ASSUME and len(parts) > 4 else account


def answer(store: Store, call: Call) -> str:
    """Raises ApiError for a refusal."""
    if call.operation == IDENTITY:
        told = f"<Arn>{call.caller}</Arn><UserId>AIDASIMULATOR</UserId><Account>{call.account}</Account>"
    else:
        told = _assume(store, call)
    return (
        f'<{call.operation}Response xmlns="{NAMESPACE}"><{call.operation}Result>{told}</{call.operation}Result>'
        f"<ResponseMetadata><RequestId>{uuid4()}</RequestId></ResponseMetadata></{call.operation}Response>"
    )


def _assume(store: Store, call: Call) -> str:
    arn, name = str(call.params.get("RoleArn", "")), str(call.params.get("RoleSessionName", ""))
    role = store.roles.get(arn)
    if role is None or role.get("externalId", "") != call.params.get("ExternalId", ""):
        raise denied(call)
    seconds = float(str(call.params.get("DurationSeconds", SESSION_SECONDS)))
    short = scenarios.view(store, call.region, "short_credentials", call.operation)
    expires = store.clock.wall() + (seconds if short is None else short.number("seconds"))
    key, token, account = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(24), arn.split(":")[4]
    columns = "access_key, token, account, role, name, expires"
    store.run(
        f"INSERT INTO role_session ({columns}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608  # a constant above
        *(key, token, account, arn, name, expires),
    )
    return (
        f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secrets.token_hex(20)}</SecretAccessKey>"
        f"<SessionToken>{token}</SessionToken><Expiration>{timestamp(expires)}</Expiration></Credentials>"
        f"<AssumedRoleUser><AssumedRoleId>AROASIMULATOR:{name}</AssumedRoleId>"
        f"<Arn>arn:aws:sts::{account}:assumed-role/{arn.rpartition('/')[2]}/{name}</Arn></AssumedRoleUser>"
    )


def denied(call: Call) -> ApiError:
    """As STS refuses whom a role does not trust."""
    text = f"User: {call.caller} is not authorized to perform: sts:AssumeRole on resource: {call.params.get('RoleArn')}"
    return ApiError("AccessDeniedException", text)


def error(refused: ApiError) -> str:
    """STS, IAM and SNS name codes without the suffix, but for one of STS (known: botocore's model)."""
    own = {"UnrecognizedClientException": "InvalidClientTokenId", "RegionDisabledException": "RegionDisabledException"}
    code = own.get(refused.code, refused.code.removesuffix("Exception"))
    return (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{refused.message}</Message></Error><RequestId>{uuid4()}</RequestId></ErrorResponse>"
    )


def roles_from_json(text: str) -> dict[str, Mapping[str, str]]:
    """By ARN, with the external id that each asks for."""
    found: dict[str, Mapping[str, str]] = json.loads(text)
    return found
