"""With what `sosie index` ends. 2 is wrong usage, and 128 and a signal's number what a signal stopped."""

DONE = 0
FAILED = 1
TOO_MANY_REJECTS = 3
REFUSED = 4
LOCKED = 5
STOPPED = 128
