"""The `redrive` command line: which commands there are. Each module below imports the server only when it is called."""

from importlib.metadata import version
from typing import Annotated

import typer

from redrive.cli.alerts import alerts
from redrive.cli.breakers import breakers
from redrive.cli.config import config
from redrive.cli.dead import dead
from redrive.cli.dev import dev
from redrive.cli.failure import Commands
from redrive.cli.keys import keys
from redrive.cli.limits import limits
from redrive.cli.pauses import pauses
from redrive.cli.policies import policy
from redrive.cli.redrives import redrives
from redrive.cli.report import report
from redrive.cli.secrets import secrets
from redrive.cli.serve import api, migrate, worker
from redrive.cli.tasks import tasks

app = typer.Typer(
    name="redrive",
    cls=Commands,
    no_args_is_help=True,
    # A traceback is for a bug, and then the plain one is the most useful.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"redrive {version('redrive')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Durable retries: run Redrive, and look after its tasks."""


app.command(rich_help_panel="Run")(dev)
app.command(rich_help_panel="Run")(api)
app.command(rich_help_panel="Run")(worker)
app.command(rich_help_panel="Run")(migrate)
app.add_typer(tasks, name="tasks", rich_help_panel="Tasks")
app.add_typer(dead, name="dead", rich_help_panel="Tasks")
app.command(rich_help_panel="Tasks")(report)
app.add_typer(redrives, name="redrive", rich_help_panel="Tasks")
app.add_typer(alerts, name="alerts", rich_help_panel="Tasks")
app.add_typer(policy, name="policy", rich_help_panel="Configuration")
app.add_typer(breakers, name="breakers", rich_help_panel="Configuration")
app.add_typer(limits, name="limits", rich_help_panel="Configuration")
app.add_typer(pauses, name="pauses", rich_help_panel="Configuration")
app.add_typer(config, name="config", rich_help_panel="Configuration")
app.add_typer(keys, name="keys", rich_help_panel="Administration")
app.add_typer(secrets, name="secrets", rich_help_panel="Administration")
