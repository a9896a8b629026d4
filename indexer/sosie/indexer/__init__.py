"""The job that makes a catalog searchable: read, check, embed, write, report.

A product goes through it in this order:

1. `catalog` reads a line and `validation` holds it against the contract's bounds; `listing` turns its product into one
   listing a picture, which is a row of the index without its vector.
2. `plan` asks the store what it has of these pictures already, and decides what is left to do for each.
3. `embedding` decodes the pictures that need it and asks the encoders for their vectors.
4. `writing` upserts the rows.
5. `rejects` keeps what fell out, `report` counts, `progress` shows.

`job` connects these steps with bounded queues; `session` is a run around it, from the target's lock to what is said in
the end, and `command` the command line around that. The sub-packages are the parts that do more than one thing:
`reading` of files, `cleaning` and `checking` of what they say, `encoding` by several encoders, `target` for the
collection and what is kept of it between runs, `reporting`, and `cluster` for many machines.
"""
