"""`drsorch`: DRS Orchestration from a command line, with the standard library alone."""

__version__ = "1.1.0"
