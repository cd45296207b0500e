"""Times as all other pages write them (contract.clock.utc)."""

DATETIME_FORMAT = r"Y-m-d H:i:s \U\T\C"
