"""The WSGI application: authentication, journal and faults around the operations of the service."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

from drs_simulator import control, operations
from drs_simulator.protocol import call_log, ec2, rest_json, sts, surroundings
from drs_simulator.protocol.call_log import Call, Outcome
from drs_simulator.protocol.rest_json import QUERIES, Identity, Reply, Request
from drs_simulator.world import errors, scenarios
from drs_simulator.world.errors import ApiError, Disconnect
from drs_simulator.world.jobs import JOBS_QUOTA
from drs_simulator.world.scenario_kinds import Acts
from drs_simulator.world.scenarios import Scenario
from drs_simulator.world.state_file import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

REASONS = {200: "OK", 202: "Accepted", 402: "Payment Required", 429: "Too Many Requests"}

QUOTAS = "servicequotas"
PROXY_PAGE = b"<html><head><meta charset=utf-8><title>Sign in</title></head><body><p>Please sign in<br></html>"


@dataclass(frozen=True)
class Handled:
    """An answer and what the journal says about it."""

    reply: Reply
    outcome: Outcome


class Simulator:
    """The simulated service over one store. `stopping` ends every artificial wait when set."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.stopping = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = _request(environ)
        reply = self.steer(request) if request.path.startswith("/_control/") else self.respond(request)
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body)))]
        start_response(f"{reply.status} {REASONS.get(reply.status, 'Error')}", [*headers, *reply.headers])
        return [reply.body]

    def steer(self, request: Request) -> Reply:
        """Answer one control request."""
        with self.store.transaction():
            carry_out_delayed_calls(self.store)
        return control.respond(self.store, request)

    def respond(self, request: Request) -> Reply:
        """Answer one API request. Raises Disconnect when the connection is to be closed without an answer."""
        call = Call("", "", "", {}, *_sdk_headers(request))
        identity = Identity("", "", QUERIES.get(rest_json.query_action(request), "drs"))
        try:
            operation = rest_json.route(request)
            call = Call(operation, "", "", {}, *_sdk_headers(request))
            identity = rest_json.identify(request)
            who = sts.caller(self.store, identity.access_key, request.headers.get("x-amz-security-token", ""))
            call = replace(call, region=identity.region, account=who.account, caller=who.arn)
            age = self.store.settings.signature_max_age_seconds
            rest_json.check_signature_age(request, identity.service, self.store.clock.wall(), age)
            params = rest_json.parameters(request, operation)
        except ApiError as error:
            with self.store.transaction():
                entry = call_log.open_entry(self.store, call)
                call_log.close_entry(self.store, entry, Outcome(error.status, error.code))
            return _error_reply(error, identity.service)
        return self._serve(replace(call, params=params))

    def _serve(self, call: Call) -> Reply:
        with self.store.transaction():
            carry_out_delayed_calls(self.store)
            about = sts.target(call.operation, call.params, call.account)
            fault = scenarios.striking_call(self.store, call.region, call.operation, about)
            entry = call_log.open_entry(self.store, call, fault.name if fault else "")
            if fault is None:
                return self._carry_out(call, entry).reply
        if fault.kind.acts is Acts.INSTEAD:
            return self._refuse(call, entry, fault)
        if fault.name == "hang" and fault.text("when") == "before":
            resets = self.store.resets
            self._wait(fault.number("seconds"))
            if self.store.resets != resets:  # it was sent to a world that is forgotten
                raise Disconnect
        return self._apply_fault(call, entry, fault)

    def _carry_out(self, call: Call, entry: int) -> Handled:
        """The call, its effects and its journal entry, all or nothing."""
        with self.store.transaction():
            handled = carry_out(self.store, call, self.store.clock.now())
            call_log.close_entry(self.store, entry, handled.outcome)
            return handled

    def _refuse(self, call: Call, entry: int, fault: Scenario) -> Reply:
        if fault.kind.error or "code" in fault.options:
            error = refusal(call, fault.kind.error) if fault.kind.error else told(fault)
            call_log.close_entry(self.store, entry, Outcome(error.status, error.code))
            reply = _error_reply(error, _service_of(call))
            rest = fault.options.get("retry_after")
            return replace(reply, headers=(*reply.headers, ("Retry-After", str(rest)))) if rest else reply
        if fault.name == "late_landing":
            clock = self.store.clock
            lands_at = clock.now() + fault.number("seconds") * clock.speed
            sql = "INSERT INTO landing (lands_at, journal_id, call) VALUES (?, ?, ?)"
            self.store.run(sql, lands_at, entry, call.as_json())
        seconds = fault.number("seconds") if fault.name == "unreachable" else 0.0
        self._wait(seconds)
        raise Disconnect

    def _wait(self, seconds: float) -> None:
        """Real seconds; cut short, and the call dropped, when the simulator stops."""
        if self.stopping.wait(seconds):
            raise Disconnect

    def _apply_fault(self, call: Call, entry: int, fault: Scenario) -> Reply:
        """Carry the call out, then spoil its answer."""
        handled = self._carry_out(call, entry)
        job_id = handled.outcome.job_id
        if fault.name == "drop_connection_after_effect":
            call_log.close_entry(self.store, entry, Outcome(None, "", job_id))
            raise Disconnect
        if fault.name == "internal_error_after_effect":
            error = errors.simple_error("InternalServerException")
            call_log.close_entry(self.store, entry, Outcome(error.status, error.code, job_id))
            return _error_reply(error, _service_of(call))
        if fault.name == "broken_json":
            half = handled.reply.body[: len(handled.reply.body) // 2]
            return Reply(handled.reply.status, half, handled.reply.content_type)
        if fault.name == "proxy_page":
            return Reply(200, PROXY_PAGE, "text/html")
        if fault.text("when") == "after":
            self._wait(fault.number("seconds"))
        return handled.reply


def carry_out(store: Store, call: Call, now: float) -> Handled:
    """The service's own answer at virtual time `now`; a refusal of the service is an answer too."""
    if call.operation in sts.QUERIES or call.operation in ec2.OPERATIONS:
        try:
            xml = sts.answer(store, call) if call.operation in sts.QUERIES else ec2.answer(store, call, now)
            return Handled(Reply(200, xml.encode(), "text/xml"), Outcome(200))
        except ApiError as error:
            return Handled(_error_reply(error, _service_of(call)), Outcome(error.status, error.code))
    if call.operation in surroundings.ANSWERS:
        try:
            told = surroundings.answer(store, call)
        except ApiError as error:
            return Handled(_error_reply(error, _service_of(call)), Outcome(error.status, error.code))
        if isinstance(told, str):
            return Handled(Reply(200, told.encode(), "text/xml"), Outcome(200))
        return Handled(Reply(200, json.dumps(told).encode(), "application/x-amz-json-1.1"), Outcome(200))
    try:
        # Nested on purpose: an ApiError leaves this block before anything was written.
        done = operations.perform(store, call, now)
    except ApiError as error:
        return Handled(_error_reply(error, "drs"), Outcome(error.status, error.code))
    body = json.dumps(done.body).encode() if done.status != 204 else b""  # of no content
    reply = Reply(done.status, body, headers=(("Date", formatdate(done.at, usegmt=True)),))
    return Handled(reply, Outcome(done.status, job_id=done.job_id))


def carry_out_delayed_calls(store: Store) -> None:
    """Let every call whose hour has come take effect, as of that hour. Inside a transaction."""
    sql = "SELECT * FROM landing WHERE lands_at <= ? ORDER BY lands_at"
    for row in store.rows(sql, store.clock.now()):
        call = Call(**json.loads(row["call"]))
        handled = carry_out(store, call, row["lands_at"])
        outcome = Outcome(None, handled.outcome.error, handled.outcome.job_id)
        call_log.close_entry(store, row["journal_id"], outcome)
        store.run("DELETE FROM landing WHERE seq = ?", row["seq"])


def refusal(call: Call, code: str) -> ApiError:
    """The error that a scenario answers with, worded as the service would."""
    worded: Mapping[str, Callable[[], ApiError]] = {
        "AccessDeniedException": lambda: _denied(call),
        "ConflictException": errors.conflict,
        "ServiceQuotaExceededException": lambda: errors.quota_exceeded(JOBS_QUOTA, "Quota exceeded"),
        "UninitializedAccountException": errors.uninitialized,
    }
    return worded[code]() if code in worded else errors.simple_error(code)


def _denied(call: Call) -> ApiError:
    if call.operation == sts.ASSUME:
        return sts.denied(call)
    return errors.access_denied(call.operation, call.account, _service_of(call))


def told(fault: Scenario) -> ApiError:
    """The error that a scenario spells out."""
    return ApiError(fault.text("code"), fault.text("message"))


def _service_of(call: Call) -> str:
    return QUOTAS if call.operation in surroundings.TARGETS.values() else QUERIES.get(call.operation, "drs")


def _error_reply(error: ApiError, service_name: str) -> Reply:
    if service_name == QUOTAS:  # JSON 1.1 names the error in its body, and every refusal is a 400 (known)
        text = json.dumps({"__type": error.code, "Message": error.message})
        return Reply(400, text.encode(), "application/x-amz-json-1.1")
    if service_name == "ec2":
        code = {"AccessDeniedException": "UnauthorizedOperation"}.get(error.code, error.code.removesuffix("Exception"))
        return Reply(error.status, ec2.error(ApiError(code, error.message)).encode(), "text/xml")
    if service_name in ("sts", "iam", "sns"):
        return Reply(error.status, sts.error(error).encode(), "text/xml")
    return Reply(error.status, error.body(), headers=(("x-amzn-errortype", error.code),))


def _sdk_headers(request: Request) -> tuple[str, str]:
    headers = request.headers
    return headers.get("amz-sdk-invocation-id", ""), headers.get("amz-sdk-request", "")


def _request(environ: WSGIEnvironment) -> Request:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return Request(
        method=str(environ["REQUEST_METHOD"]),
        path=str(environ["PATH_INFO"]),
        headers=headers,
        body=cast("bytes", environ["wsgi.input"].read(length)) if length else b"",
        remote=str(environ.get("REMOTE_ADDR", "")),
        query=str(environ.get("QUERY_STRING", "")),
    )
