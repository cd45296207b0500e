"""What people type to find recovery plans."""

from protection.forms import Search


class PlanSearch(Search):
    """Recovery plans by name."""
