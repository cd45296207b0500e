"""The gate of a run on its page, and the questions before somebody approves, declines or breaks it."""
