"""Says how good models are: measures them on a catalog, and writes one report.

1. `towers` opens the encoders of one embedding space; `encoding` runs them over a catalog.
2. `ranking` orders pictures for questions, `retrieval` makes metrics of it, `bootstrap` their intervals.
3. `classification` judges classifiers by catalog labels, `index_recall` a live index against exact search.
4. `catalog_data` and `duplicates` look at the catalog itself.
5. `report` gathers all of it; `requirements` and `differences` hold it against limits and against an earlier report;
   `page` and `plots` show it.
"""
