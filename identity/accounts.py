"""What can be done with an account of this installation: switch it off and on, and its password."""

from functools import partial

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

from audit.actor import Actor
from audit.journal import attempt, record
from contract.errors import Forbidden, Invalid, NotFound
from identity.provider import refresh_tokens

SWITCH = "drsorch_site.switch_account"


@attempt("user.switch_off", "user", subject="user_id")
def switch_off(*, actor: Actor, user_id: int) -> User:
    """Refuse somebody from the next request on, on console and API; their sessions end and do not come back."""
    return _switch(actor, user_id, "user.switch_off", to=False)


@attempt("user.switch_on", "user", subject="user_id")
def switch_on(*, actor: Actor, user_id: int) -> User:
    """Let somebody sign in again."""
    return _switch(actor, user_id, "user.switch_on", to=True)


def _switch(actor: Actor, user_id: int, verb: str, *, to: bool) -> User:
    actor.require(SWITCH, "switch accounts off and on")
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=user_id).first()
        if user is None:
            raise NotFound(f"There is no account {user_id}.")
        _check(actor, user)
        was, user.is_active = user.is_active, to
        user.save(update_fields=["is_active"])
        ended = 0 if to else end_sessions(user)
        record(
            actor,
            verb,
            subject_kind="user",
            subject_id=user.pk,
            subject_name=user.get_username(),
            detail={"changed": was != to, "endedSessions": ended},
            before={"active": was},
            after={"active": to},
        )
    return user


def _check(actor: Actor, user: User) -> None:
    """Nobody locks themselves out, and no administrator the one who can undo it."""
    mine = actor.principal
    if mine is not None and mine.pk == user.pk:
        raise Invalid({"account": ["This is your own account."]})
    if user.is_superuser and mine is not None and not getattr(mine, "is_superuser", False):
        raise Forbidden("Only a superuser may switch a superuser's account. Ask one.")


def end_sessions(user: User) -> int:
    """End every session of somebody, and have the provider forget their refresh tokens; answers how many ended."""
    for token in refresh_tokens.take_all(user):
        transaction.on_commit(partial(refresh_tokens.give_back, settings.PROVIDER, token))
    lasting = Session.objects.filter(expire_date__gt=timezone.now()).iterator()
    mine = [each.pk for each in lasting if each.get_decoded().get(SESSION_KEY) == str(user.pk)]
    Session.objects.filter(pk__in=mine).delete()
    return len(mine)


@attempt("user.password", "user", subject="user_id")
def change_password(*, actor: Actor, user_id: int, password: str) -> User:
    """Give somebody, who has proven the old one, a new password. Every other session and token of theirs is dead."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user_id)
        user.set_password(password)
        user.save(update_fields=["password"])
        record(actor, "user.password", subject_kind="user", subject_id=user.pk, subject_name=user.get_username())
    return user
