"""The stage on which time stands still, for runs whose every figure is known."""

from tests.executions.conftest import stage, still

__all__ = ["stage", "still"]
