"""The state of a source server as we call it, from what DRS says of its replication. No Django."""

from collections.abc import Mapping

from contract.status import Status, Tone

CONTINUOUS, SNAPSHOT = "CONTINUOUS", "CREATING_SNAPSHOT"
EXTENDED, EXTENSION_ERROR, FAILBACK = "EXTENDED", "EXTENSION_ERROR", "FAILBACK"  # DRS's words


class ServerState(Status):
    """Can this server be recovered with current data?"""

    READY_FOR_RECOVERY = "READY_FOR_RECOVERY", "Ready", Tone.SUCCESS
    SYNCING = "SYNCING", "Syncing", Tone.PROGRESS
    LAGGING = "LAGGING", "Lagging", Tone.ATTENTION
    PAUSED = "PAUSED", "Paused", Tone.ATTENTION
    STALLED = "STALLED", "Stalled", Tone.DANGER
    DISCONNECTED = "DISCONNECTED", "Disconnected", Tone.DANGER
    STOPPED = "STOPPED", "Stopped", Tone.NEUTRAL


# As lists and the dashboard count servers: every state is in exactly one, by the word in addresses.
COUNTED: Mapping[str, tuple[str, Tone, frozenset[ServerState]]] = {
    "ready": ("Ready", Tone.NEUTRAL, frozenset({ServerState.READY_FOR_RECOVERY})),
    "copying": ("First copy", Tone.ATTENTION, frozenset({ServerState.SYNCING})),
    "lagging": ("Lagging", Tone.ATTENTION, frozenset({ServerState.LAGGING})),
    "stalled": ("Stalled", Tone.DANGER, frozenset({ServerState.STALLED})),
    "disconnected": ("Disconnected", Tone.DANGER, frozenset({ServerState.DISCONNECTED})),
    "off": ("Paused or stopped", Tone.ATTENTION, frozenset({ServerState.PAUSED, ServerState.STOPPED})),
}

BY_REPLICATION_STATE = {
    "CONTINUOUS": ServerState.READY_FOR_RECOVERY,
    "INITIATING": ServerState.SYNCING,
    "INITIAL_SYNC": ServerState.SYNCING,
    "BACKLOG": ServerState.LAGGING,
    "RESCAN": ServerState.LAGGING,
    "CREATING_SNAPSHOT": ServerState.LAGGING,
    "PAUSED": ServerState.PAUSED,
    "STALLED": ServerState.STALLED,
    "DISCONNECTED": ServerState.DISCONNECTED,
    "STOPPED": ServerState.STOPPED,
}


def server_state(replication_state: str, trouble: str = "") -> ServerState:
    """Our state for DRS's dataReplicationState; a state that AWS adds later counts as lagging, not as ready. What DRS
    says is in trouble is not ready, whatever its replication does."""
    state = BY_REPLICATION_STATE.get(replication_state, ServerState.LAGGING)
    return ServerState.STALLED if trouble and state is ServerState.READY_FOR_RECOVERY else state


def replication_trouble(*, error: str, staging_status: str, staging_error: str, direction: str) -> str:
    """What DRS says is wrong with a server beside the state of its replication, in its words; empty when nothing is."""
    said = []
    if staging_status == EXTENSION_ERROR:
        why = f": {staging_error}" if staging_error else ""
        said.append(f"DRS reports {EXTENSION_ERROR} for its staging account{why}.")
    if error:
        said.append(f"DRS reports a replication error: {error}.")
    if direction == FAILBACK:
        said.append(f"DRS replicates it in the direction {FAILBACK}, back to its source.")
    return " ".join(said)
