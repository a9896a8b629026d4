"""The dry run: what an indexing would make of each line of a catalog, without Triton and without an index."""
