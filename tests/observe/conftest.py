"""The stage for tests of figures."""

from tests.executions.conftest import stage

__all__ = ["stage"]
