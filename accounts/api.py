"""AWS accounts over HTTP."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.models import Account
from accounts.representation import AccountDeleted, AccountsAnswer, AccountShape, all_accounts, show
from accounts.services import RIGHT, TO, Wanted
from audit.request_actor import actor_for
from contract.errors import Invalid
from contract.rest.etag import etag, expected_versions
from contract.rest.schema import IF_MATCH, describes
from contract.rest.serializers import NAME, Flag, StrictSerializer, Text, Texts, Whole, read_body
from contract.rest.views import ApiView
from contract.rights import AnyOf

ADMIN = AnyOf(TO, (RIGHT,))
ACCOUNT_ID = {"pattern": "^[0-9]{12}$"}
ROLE = {"pattern": "^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$"}
EXTERNAL_ID = {"maxLength": 1224}
REGIONS = {"items": {"type": "string", "pattern": "^[a-z]{2}(-[a-z]+)+-[0-9]+$"}}


class AccountIn(StrictSerializer):
    """An account that is entered by a role. `regions` are those in which DRS is set up there."""

    answered = frozenset({"isHome", "lastCheck"})

    accountId = Text(described=ACCOUNT_ID)
    name = Text(described=NAME)
    roleArn = Text(described=ROLE)
    externalId = Text(required=False, allow_null=True, described=EXTERNAL_ID)
    regions = Texts(described=REGIONS)
    enabled = Flag(required=False)
    version = Whole(required=False)


class AccountChange(AccountIn):
    """What is left out stays as it is; the id stays in any case."""

    accountId = Text(required=False, described=ACCOUNT_ID)
    name = Text(required=False, described=NAME)
    roleArn = Text(required=False, allow_null=True, described=ROLE)
    regions = Texts(required=False, described=REGIONS)


class AccountList(ApiView):
    """All accounts, and new ones."""

    rights = {"GET": ADMIN, "POST": ADMIN}

    @describes("listAccounts", "List the AWS accounts", answers={200: AccountsAnswer}, refusals=["FORBIDDEN"])
    def get(self, request: Request) -> Response:
        actor_for(request).require(RIGHT, TO)
        shown = [show(each) for each in all_accounts()]
        return Response(AccountsAnswer(accounts=shown, count=len(shown)))

    @describes(
        "createAccount",
        "Add an AWS account that is entered by a role",
        answers={201: AccountShape},
        body=AccountIn,
        refusals=("FORBIDDEN", "INVALID_REGION", "ACCOUNT_EXISTS", "ACCOUNT_NAME_EXISTS"),
    )
    def post(self, request: Request) -> Response:
        given = read_body(request, AccountIn)
        wanted = Wanted(
            given["name"],
            given["roleArn"],
            given.get("externalId") or "",
            given["regions"],
            given.get("enabled", True),
        )
        account = services.create(actor=actor_for(request), account_id=given["accountId"], wanted=wanted)
        answer = _answer(account, status=201)
        answer["Location"] = f"{request.path.rstrip('/')}/{account.pk}"
        return answer


class AccountDetail(ApiView):
    """One account."""

    rights = {"GET": ADMIN, "PUT": ADMIN, "DELETE": ADMIN}

    @describes("getAccount", "Get an AWS account", answers={200: AccountShape}, refusals=["FORBIDDEN", "NOT_FOUND"])
    def get(self, request: Request, account_id: str) -> Response:
        actor_for(request).require(RIGHT, TO)
        return _answer(services.get(account_id))

    @describes(
        "updateAccount",
        "Change an AWS account; fields left out keep their values",
        answers={200: AccountShape},
        body=AccountChange,
        headers=[IF_MATCH],
        refusals=("FORBIDDEN", "NOT_FOUND", "INVALID_REGION", "ACCOUNT_NAME_EXISTS", "VERSION_CONFLICT"),
    )
    def put(self, request: Request, account_id: str) -> Response:
        given = read_body(request, AccountChange)
        actor_for(request).require(RIGHT, TO)
        known = services.get(account_id)
        if given.get("accountId", account_id) != account_id:
            raise Invalid({"accountId": ["The id of an account cannot be changed: add the other one."]})
        account = services.update(
            actor=actor_for(request),
            account_id=account_id,
            wanted=_changed(known, given),
            expected=expected_versions(request, given.get("version")),
        )
        return _answer(account)

    @describes(
        "deleteAccount",
        "Delete an AWS account that nothing uses",
        answers={200: AccountDeleted},
        headers=[IF_MATCH],
        refusals=("FORBIDDEN", "NOT_FOUND", "ACCOUNT_IN_USE", "VERSION_CONFLICT"),
    )
    def delete(self, request: Request, account_id: str) -> Response:
        gone = services.delete(actor=actor_for(request), account_id=account_id, expected=expected_versions(request))
        return Response(AccountDeleted(accountId=gone.pk, message=f"The account “{gone.name}” was deleted."))


class AccountCheck(ApiView):
    """Whether it can be entered and read."""

    rights = {"POST": ADMIN}

    @describes(
        "checkAccount",
        "Enter an AWS account and read DRS there, once a region; the answer says what came of it",
        answers={200: AccountShape},
        refusals=("FORBIDDEN", "NOT_FOUND"),
    )
    def post(self, request: Request, account_id: str) -> Response:
        return _answer(services.check(actor=actor_for(request), account_id=account_id))


def _changed(known: Account, given: dict[str, Any]) -> Wanted:
    """What is there, with what was given in its place."""
    return Wanted(
        given.get("name", known.name),
        (given["roleArn"] or "") if "roleArn" in given else known.role_arn,
        (given["externalId"] or "") if "externalId" in given else known.external_id,
        given.get("regions", known.regions),
        given.get("enabled", known.enabled),
    )


def _answer(account: Account, *, status: int = 200) -> Response:
    return Response(show(account), status=status, headers={"ETag": etag(account.version)})
