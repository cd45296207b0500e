"""Checks an evidence pack offline, with Python's standard library alone: `python -m drsorch_verify pack.zip`.

It ships in every pack and reads nothing but the pack. It derives RTA, RPA and statuses from the events in report.json
by itself, follows the journal's hash chain, and names whatever does not match.
"""
