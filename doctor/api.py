"""`GET /doctor`: would it work here?"""

from rest_framework.request import Request
from rest_framework.response import Response

from contract.rest.schema import describes
from contract.rest.serializers import StrictSerializer, Text, read_query
from contract.rest.views import ApiView
from contract.rights import AnyOf
from doctor.checks import Asked, findings
from doctor.findings import DoctorAnswer, answer

ADMIN = AnyOf("see the check of this installation", ("drsorch_site.switch_account",))


class DoctorQuery(StrictSerializer):
    account = Text(required=False, allow_blank=False, described={"pattern": "^[0-9]{12}$"})
    region = Text(required=False)
    plan = Text(required=False, described={"description": "The id or the whole name of a recovery plan."})


class DoctorView(ApiView):
    """All checks, with the credentials of the web process, about the engine's role."""

    rights = {"GET": ADMIN}

    @describes(
        "checkInstallation",
        "Check whether a recovery would work here",
        answers={200: DoctorAnswer},
        query=DoctorQuery,
        refusals=("FORBIDDEN", "NOT_FOUND", "INVALID_REGION"),
    )
    def get(self, request: Request) -> Response:
        given = read_query(request, DoctorQuery)
        asked = Asked.read(account=given.get("account", ""), region=given.get("region", ""), plan=given.get("plan", ""))
        return Response(answer(findings(asked)))
