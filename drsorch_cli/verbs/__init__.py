"""The verbs of `drsorch`, by what they are about."""
