"""Sessions in the database, which go on while it cannot be written: a full disk keeps nobody from reading."""

import logging

from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as InDatabase
from django.db import DatabaseError

log = logging.getLogger(__name__)


class SessionStore(InDatabase):
    """Django's, but for the note that somebody was there: where that cannot be written, the request goes on without.

    The name is Django's, too: sessions are signed with it, and those of the version before stay good.
    """

    def save(self, must_create: bool = False) -> None:
        try:
            super().save(must_create)
        except UpdateError as error:
            cause = error.__context__
            if cause is None or type(cause) is DatabaseError:  # there is no such row: signed out meanwhile
                raise
            log.warning("A session could not be written: %s", cause)
