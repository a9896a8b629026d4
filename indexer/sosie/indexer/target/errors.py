"""What keeps a run from its target."""


class LockedError(Exception):
    """Another run has the target; the message says which, since when, and what to do."""


class StoppedError(Exception):
    """The run is to end: nothing further was done to its target."""


class RefusedError(Exception):
    """What was asked for would do more harm than was allowed; the message says how much. Nothing of it was done."""
