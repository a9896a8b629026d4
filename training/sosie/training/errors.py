"""What can go wrong while models are made.

    TrainingError
    ├── WeightsError       a weight package cannot be had, is not what it should be, or cannot be read
    ├── RepositoryError    a model repository cannot be read or written, or holds something else
    ├── VerificationError  a graph that was built does not compute what its network does
    ├── PrecisionError     a graph of fewer bits cannot be made, or is too far from its float32 original
    ├── FitError           a catalog cannot be read, or holds too little to fit anything to
    ├── ClassifierError    a catalog holds nothing to train a classifier on, or a run cannot be made or gone on with
    └── EvaluationError    nothing can be measured, or what was asked for is unknown

Each message is one line that says what is wrong and, where the user can do something, what to change.
"""


class TrainingError(Exception):
    """The root of all that this room raises on purpose."""


class WeightsError(TrainingError):
    """A weight package cannot be had, is not what it should be, or cannot be read."""


class RepositoryError(TrainingError):
    """A model repository cannot be read or written, or holds something that it should not."""


class VerificationError(TrainingError):
    """A graph that was built does not compute what its network does."""


class PrecisionError(TrainingError):
    """A graph of fewer bits cannot be made, or is too far from its float32 original."""


class FitError(TrainingError):
    """A catalog cannot be read, or holds too little to fit anything to."""


class ClassifierError(TrainingError):
    """A catalog holds nothing to train a classifier on, or a run cannot be made or gone on with."""


class EvaluationError(TrainingError):
    """Nothing can be measured with what is there, or what was asked for is unknown."""
