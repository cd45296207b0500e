"""What keeps a plan from being started, in the words of the button, the list, the API and the refusal alike."""

from collections.abc import Collection


def no_waves(plan_name: str) -> str:
    return f"“{plan_name}” has no waves. Add one, then start again."


def is_running(plan_name: str, status: str, started_by: str) -> str:
    """A run of it is under way."""
    return f"“{plan_name}” is already running ({status.lower()}, started by {started_by})."


def servers_held(count: int, holders: Collection[str]) -> str:
    """Runs of the plans `holders` have some of its servers."""
    names = "”, “".join(sorted(set(holders)))
    return f"{_held(count)} by a run of “{names}”. Wait for its end or cancel it."


def servers_held_by_drs(count: int, holders: Collection[str]) -> str:
    """DRS's own recovery plans `holders`, in words, have some of its servers."""
    names = " and ".join(sorted(set(holders)))
    return f"{_held(count)} by {names}. Wait for its end, or cancel it in the console of DRS."


def _held(count: int) -> str:
    return f"{count} of this plan's servers {'is' if count == 1 else 'are'} in use"
