"""What is wrong with a feed as a whole."""


class FeedError(ValueError):
    """The feed cannot be read on; the message says where and why, on one line."""
