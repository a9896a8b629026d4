"""A catalog's files: which there are, how each is decoded to lines, and what was met in them before."""
