"""Sessions in the database, which go on while it cannot be written: a full disk keeps nobody from reading."""

import logging

from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as InDatabase
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.utils import timezone

from contract.storage.prepared import Asked, Prepared

log = logging.getLogger(__name__)

_KNOWN = Prepared(
    lambda: Session.objects.filter(
        session_key=Asked(Session, "session_key"), expire_date__gt=Asked(Session, "expire_date")
    )
)


class SessionStore(InDatabase):
    """Django's, but for the note that somebody was there: where that cannot be written, the request goes on without.

    The name is Django's, too: sessions are signed with it, and those of the version before stay good.
    """

    def _get_session_from_db(self) -> Session | None:
        """Every request reads one."""
        found = next(iter(_KNOWN.objects(session_key=self.session_key, expire_date=timezone.now())), None)
        if found is None:
            self._session_key = None
        return found

    def save(self, must_create: bool = False) -> None:
        try:
            super().save(must_create)
        except UpdateError as error:
            cause = error.__context__
            if cause is None or type(cause) is DatabaseError:  # there is no such row: signed out meanwhile
                raise
            log.warning("A session could not be written: %s", cause)
