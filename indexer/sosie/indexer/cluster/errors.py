"""What can go wrong with the cluster itself."""


class ClusterError(Exception):
    """The cluster cannot be used, or did not do its work; the message says on one line why and what to change."""
