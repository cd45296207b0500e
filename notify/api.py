"""Subscriptions and deliveries over HTTP."""

import uuid
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.errors import Invalid
from contract.rest import paging
from contract.rest.etag import etag, expected_versions
from contract.rest.schema import IF_MATCH, describes
from contract.rest.serializers import (
    LIMIT,
    NAME,
    PLAN_ID,
    TOKEN,
    Flag,
    OneOf,
    StrictSerializer,
    Text,
    Texts,
    Whole,
    read_body,
    read_query,
)
from contract.rest.views import ApiView, read_id
from contract.rights import AnyOf
from notify import services
from notify.models import Delivery, Subscription
from notify.representation import (
    DeliveriesAnswer,
    DeliveryShape,
    SubscriptionDeleted,
    SubscriptionsAnswer,
    SubscriptionSaved,
    SubscriptionShape,
    show,
    show_delivery,
)
from notify.services import Wanted
from notify.states import SUBSCRIBABLE, Channel, DeliveryStatus

EVENTS = {"minItems": 1, "items": {"type": "string", "enum": [each.value for each in SUBSCRIBABLE]}}
CHANGE = "notify.change_subscription"


class SubscriptionIn(StrictSerializer):
    """A subscription. `planId` names one plan; without it, or null, all plans are meant."""

    answered = frozenset({"subscriptionId", "allPlans", "owner", "createdDate", "lastModifiedDate", "secret"})

    name = Text(described=NAME)
    channel = OneOf(choices=Channel.values)
    target = Text(described={"minLength": 1, "maxLength": 1024})
    planId = Text(required=False, allow_null=True)
    events = Texts(described=EVENTS)
    enabled = Flag(required=False)
    version = Whole(required=False)


class SubscriptionChange(SubscriptionIn):
    """What is left out stays as it is. `renewSecret` makes a new signing key for a webhook."""

    name = Text(required=False, described=NAME)
    channel = OneOf(required=False, choices=Channel.values)
    target = Text(required=False, described={"minLength": 1, "maxLength": 1024})
    events = Texts(required=False, described=EVENTS)
    renewSecret = Flag(required=False)


class DeliveryQuery(StrictSerializer):
    subscriptionId = Text(required=False, described=PLAN_ID)
    executionId = Text(required=False, described=PLAN_ID)
    status = OneOf(required=False, choices=[each.value for each in DeliveryStatus])
    limit = Text(required=False, described=LIMIT)
    nextToken = Text(required=False, described=TOKEN)


class SubscriptionList(ApiView):
    """All subscriptions, and new ones."""

    rights = {"POST": AnyOf("add subscriptions", ("notify.add_subscription",))}

    @describes("listSubscriptions", "List subscriptions", answers={200: SubscriptionsAnswer})
    def get(self, request: Request) -> Response:
        whole = actor_for(request).may(CHANGE)
        items = [show(each, whole=whole) for each in Subscription.objects.all()]
        return Response({"items": items, "count": len(items)})

    @describes(
        "createSubscription",
        "Add a subscription; a webhook's signing key is in this response only",
        answers={201: SubscriptionSaved},
        body=SubscriptionIn,
        refusals=["FORBIDDEN"],
    )
    def post(self, request: Request) -> Response:
        given = read_body(request, SubscriptionIn)
        wanted = Wanted(
            given["name"],
            given["channel"],
            given["target"],
            _plan_id(given.get("planId")),
            given["events"],
            given.get("enabled", True),
        )
        saved = services.create(actor=actor_for(request), name=wanted.name, wanted=wanted)
        answer = _saved(saved, status=201)
        answer["Location"] = f"{request.path.rstrip('/')}/{saved.subscription.pk}"
        return answer


class SubscriptionDetail(ApiView):
    """One subscription."""

    rights = {
        "PUT": AnyOf("change subscriptions", (CHANGE,)),
        "DELETE": AnyOf("delete subscriptions", ("notify.delete_subscription",)),
    }

    @describes("getSubscription", "Get a subscription", answers={200: SubscriptionShape}, refusals=["NOT_FOUND"])
    def get(self, request: Request, subscription_id: str) -> Response:
        found = services.get(_id(subscription_id))
        whole = actor_for(request).may(CHANGE)
        return Response(show(found, whole=whole), headers={"ETag": etag(found.version)})

    @describes(
        "updateSubscription",
        "Change a subscription; fields left out keep their values",
        answers={200: SubscriptionSaved},
        body=SubscriptionChange,
        headers=[IF_MATCH],
        refusals=("FORBIDDEN", "NOT_FOUND", "VERSION_CONFLICT"),
    )
    def put(self, request: Request, subscription_id: str) -> Response:
        given = read_body(request, SubscriptionChange)
        known = services.get(_id(subscription_id))
        saved = services.update(
            actor=actor_for(request),
            subscription_id=known.pk,
            wanted=_changed(known, given),
            renew_secret=given.get("renewSecret", False),
            expected=_expected(request, given, known),
        )
        return _saved(saved)

    @describes(
        "deleteSubscription",
        "Delete a subscription; notifications not delivered yet are withdrawn",
        answers={200: SubscriptionDeleted},
        headers=[IF_MATCH],
        refusals=("FORBIDDEN", "NOT_FOUND", "VERSION_CONFLICT"),
    )
    def delete(self, request: Request, subscription_id: str) -> Response:
        gone = services.delete(
            actor=actor_for(request),
            subscription_id=_id(subscription_id),
            expected=expected_versions(request),
        )
        text = f"The subscription “{gone.name}” was deleted."
        return Response(SubscriptionDeleted(subscriptionId=subscription_id, message=text))


class SubscriptionTest(ApiView):
    """Whether it arrives."""

    rights = {"POST": AnyOf("send test notifications", (CHANGE,))}

    @describes(
        "testSubscription",
        "Send a test notification; the answer is the delivery, not its result",
        answers={202: DeliveryShape},
        refusals=("FORBIDDEN", "NOT_FOUND"),
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        delivery = services.send_test(actor=actor_for(request), subscription_id=_id(subscription_id))
        return Response(show_delivery(delivery), status=202)


class DeliveryList(ApiView):
    """What became of the notifications."""

    @describes("listDeliveries", "List deliveries, newest first", answers={200: DeliveriesAnswer}, query=DeliveryQuery)
    def get(self, request: Request) -> Response:
        asked = read_query(request, DeliveryQuery)
        rows = Delivery.objects.select_related("notice")
        if "subscriptionId" in asked:
            rows = rows.filter(subscription=_filter_id(asked["subscriptionId"], "subscriptionId"))
        if "executionId" in asked:
            rows = rows.filter(notice__execution_id=_filter_id(asked["executionId"], "executionId"))
        if "status" in asked:
            rows = rows.filter(status=asked["status"])
        found, token = paging.page(
            rows, time="created_at", limit=paging.read_limit(asked.get("limit")), token=asked.get("nextToken")
        )
        return Response({"items": [show_delivery(each) for each in found], "nextToken": token})


def _changed(known: Subscription, given: dict[str, Any]) -> Wanted:
    """What is there, with what was given in its place. A subscription whose plan is gone must be given a new one."""
    plan_id = known.plan_id
    if "planId" in given:
        plan_id = _plan_id(given["planId"])
    elif plan_id is None and not known.all_plans:
        raise Invalid({"planId": ["Its plan was deleted. Name another, or null for all plans."]})
    return Wanted(
        given.get("name", known.name),
        given.get("channel", known.channel),
        given.get("target", known.target),
        plan_id,
        given.get("events", known.events),
        given.get("enabled", known.enabled),
    )


def _expected(request: Request, given: dict[str, Any], known: Subscription) -> Any:
    """The versions asked for; else the one that the rest was taken from, so that no other change is undone."""
    asked = expected_versions(request, given.get("version"))
    return {known.version} if asked is None else asked


def _id(text: str) -> uuid.UUID:
    return read_id(text, "subscription", "subscriptionId")


def _plan_id(text: str | None) -> uuid.UUID | None:
    if text is None:
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Invalid({"planId": [f"There is no recovery plan {text[:64]!r}."]}) from None


def _filter_id(text: str, field: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Invalid({field: ["Not an id."]}) from None


def _saved(saved: services.Saved, *, status: int = 200) -> Response:
    shown = SubscriptionSaved(**show(saved.subscription, whole=True), secret=saved.secret or None)
    return Response(shown, status=status, headers={"ETag": etag(saved.subscription.version)})
