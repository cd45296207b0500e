"""The state of a source server as we call it, from what DRS says of its replication. No Django."""

from contract.status import Status, Tone


class ServerState(Status):
    """Can this server be recovered with current data?"""

    READY_FOR_RECOVERY = "READY_FOR_RECOVERY", "Ready", Tone.SUCCESS
    SYNCING = "SYNCING", "Syncing", Tone.PROGRESS
    LAGGING = "LAGGING", "Lagging", Tone.ATTENTION
    PAUSED = "PAUSED", "Paused", Tone.ATTENTION
    STALLED = "STALLED", "Stalled", Tone.DANGER
    DISCONNECTED = "DISCONNECTED", "Disconnected", Tone.DANGER
    STOPPED = "STOPPED", "Stopped", Tone.NEUTRAL


_BY_REPLICATION_STATE = {
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


def server_state(replication_state: str) -> ServerState:
    """Our state for DRS's dataReplicationState; a state that AWS adds later counts as lagging, not as ready."""
    return _BY_REPLICATION_STATE.get(replication_state, ServerState.LAGGING)
