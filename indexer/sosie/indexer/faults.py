"""Faults of files, in words."""


def describe_os_error(error: OSError) -> str:
    """What went wrong with which file, on one line."""
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
