"""What a run indexes into, and what it keeps of its own beside it.

1. `state` is the folder of one target on disk: what survives a run that dies.
2. `lock` lets one run at a time into it.
3. `journal` lists the work that the store has acknowledged, so that the next run does not look at it again.
"""
