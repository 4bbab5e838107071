"""What the routes work with, made once per process."""

from __future__ import annotations

from dataclasses import dataclass

from redrive.activities.admission import Admission
from redrive.activities.archive import Archive, Remover
from redrive.api.access import KeyRing
from redrive.api.configuration import Configurations
from redrive.api.engine import Engine
from redrive.api.events import Feed
from redrive.api.importing import Importer
from redrive.api.metrics import Metrics
from redrive.api.operations import Operations
from redrive.api.overview import EngineProbe, Overviews
from redrive.api.redrives import Redrives
from redrive.api.reports import Reporter
from redrive.api.resources import Links
from redrive.store.database import Database, open_database
from redrive.store.restraints import RestraintsCache
from redrive.store.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes work with.

    Attributes:
        settings: What the operator set.
        database: The pool.
        engine: Temporal.
        keys: Looks API keys up.
        configurations: Finds the policies of scenes.
        reporter: Takes reports.
        operations: Carries out operations on tasks.
        redrives: Carries out operations on many tasks.
        restraints: Knows limits and pauses.
        admission: Tells whether attempts of groups' own workers may go.
        importer: Takes files of tasks.
        remover: Deletes ended tasks, into the archive when one is wanted.
        links: Addresses of things that other programs show.
        probe: Tells whether Temporal answers.
        overviews: Makes overviews.
        feed: Tells what changes.
        metrics: Writes figures for monitoring.
    """

    settings: Settings
    database: Database
    engine: Engine
    keys: KeyRing
    configurations: Configurations
    reporter: Reporter
    operations: Operations
    redrives: Redrives
    restraints: RestraintsCache
    admission: Admission
    importer: Importer
    remover: Remover
    links: Links
    probe: EngineProbe
    overviews: Overviews
    feed: Feed
    metrics: Metrics


def make_services(settings: Settings) -> Services:
    """Wire the services of one process. Nothing is connected yet."""
    database = open_database(settings, "redrive api")
    engine = Engine(settings)
    configurations = Configurations(database, auto_create=settings.auto_create)
    probe = EngineProbe(engine)
    restraints = RestraintsCache(database)
    reporter = Reporter(database, configurations, settings.task_queue)
    return Services(
        settings=settings,
        database=database,
        engine=engine,
        keys=KeyRing(database, required=settings.require_api_key),
        configurations=configurations,
        reporter=reporter,
        importer=Importer(database, reporter),
        operations=Operations(database, engine, settings.task_queue),
        redrives=Redrives(database, engine, settings.task_queue),
        restraints=restraints,
        admission=Admission(database, restraints),
        remover=Remover(database, Archive(settings.archive_dir)),
        links=Links(settings),
        probe=probe,
        overviews=Overviews(database, probe, settings),
        feed=Feed(database),
        metrics=Metrics(database, probe),
    )
