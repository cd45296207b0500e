"""What lets a paused run go on, over HTTP."""
