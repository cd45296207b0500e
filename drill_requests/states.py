"""How a request for a drill is."""

from contract.status import Status, Tone


class RequestState(Status):
    """Only an open one can be confirmed, once. EXPIRED is never stored: it is an open one whose time is over."""

    OPEN = "OPEN", "Waits for a person", Tone.ATTENTION
    STARTED = "STARTED", "Started", Tone.SUCCESS
    DECLINED = "DECLINED", "Declined", Tone.NEUTRAL
    EXPIRED = "EXPIRED", "Expired", Tone.NEUTRAL
