"""The job on many machines: the nodes of a Ray cluster each run the local job over one partition after the other.

1. `survey` has the nodes read the catalog's names, and finds the lines that do not count: it takes all lines to know.
2. `fleet` gives each node's `worker` one partition of the catalog after the other; what a node that is lost had under
   way, another does again.
3. `worker` is the local job: it reads a partition, plans, embeds and writes it.
4. `tally` adds what the workers' `books` say to those of the run.

Only these modules know of Ray, and only `fleet`, `survey` and `connection` import it.
"""
