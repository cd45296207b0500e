"""Checks an evidence pack offline, with Python's standard library alone: `drsorch-verify pack.zip`.

It is installed by itself, never taken from the pack that it judges, and reads nothing but the pack. It derives RTA, RPA
and statuses from the events in report.json by itself, follows the journal's hash chain, and names what does not match.
"""
