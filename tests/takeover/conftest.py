"""The stage of the tests of runs."""

from tests.executions.conftest import stage

__all__ = ["stage"]
