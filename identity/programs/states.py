"""How a program's token is."""

from contract.status import Status, Tone


class TokenStatus(Status):
    """Only an active one is accepted."""

    ACTIVE = "ACTIVE", "Active", Tone.SUCCESS
    EXPIRED = "EXPIRED", "Expired", Tone.NEUTRAL
    REVOKED = "REVOKED", "Revoked", Tone.NEUTRAL
