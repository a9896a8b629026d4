"""A catalog's pictures into the collection: by this process, or by a cluster's nodes."""

import asyncio
from dataclasses import replace

from sosie.indexer.cluster.connection import prepare
from sosie.indexer.cluster.errors import ClusterError
from sosie.indexer.cluster.options import ClusterOptions
from sosie.indexer.cluster.worker import Work
from sosie.indexer.job import Job
from sosie.indexer.running import Run
from sosie.indexer.target.ledger import Ledger
from sosie.indexer.writing import Writer


async def fill(run: Run) -> None:
    """Embeds and writes what is new or changed, here or on a cluster's nodes. A run that is stopped ends it early.

    Raises EngineError, ClusterError and OSError.
    """
    if run.settings.cluster:
        await _fill_by_cluster(run, run.settings.cluster)
        return
    job = Job(
        catalog=run.target.watch(run.catalog),
        folder=run.folder,
        encoder=run.encoder,
        tokenizer=run.tokenizer,
        store=run.target.store,
        report=run.report,
        pool=run.pool,
        options=replace(run.settings.options, twins=run.state.folder / "twins.sqlite"),
        ledger=Ledger(run.journal, run.folder, run.pool),
    )
    run.stops += [job.stop, run.encoder.hurry]
    if run.stopping:  # a signal came while all was opened
        job.stop()
    try:
        await job.run()
    finally:
        run.report.sections["encoders"] = run.encoder.describe()


async def _fill_by_cluster(run: Run, cluster: ClusterOptions) -> None:
    await asyncio.to_thread(prepare, cluster.address)
    try:
        from sosie.indexer.cluster.fleet import Fleet  # noqa: PLC0415 - Ray is an extra of its own
    except ImportError as error:
        raise ClusterError(f"--engine ray needs what the extra brings: pip install 'sosie[ray]' ({error})") from error
    settings = run.settings
    work = Work(
        catalog=settings.catalog.absolute(),
        images=settings.images.absolute(),
        models=settings.models.absolute(),
        backends=replace(settings.backends, space=run.encoder.space.name),
        collection=run.target.collection.name,
        options=settings.options,
        cleaning=settings.cleaning,
    )
    fleet = Fleet(
        catalog=run.catalog, watch=run.target.watch, work=work, options=cluster, report=run.report, tell=run.tell
    )
    run.stops.append(fleet.stop)
    if run.stopping:  # as above
        fleet.stop()
    await fleet.run()
    if not run.stopping:
        writer = Writer(store=run.target.store, retrier=run.make_retrier(), timeout=settings.options.timeout)
        run.report.index_pending = not await writer.settle(resumed=run.report.indexed + run.report.rewritten > 0)
