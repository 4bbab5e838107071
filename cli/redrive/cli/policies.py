"""`redrive policy …`: what a policy does."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from redrive.cli import display
from redrive.cli.client import DEFAULT_URL, ApiClient, ApiError, JsonOption, KeyOption, NamespaceOption, UrlOption
from redrive.cli.documents import write_json
from redrive.cli.failure import Commands
from redrive.cli.files import FileError, read_document
from redrive.cli.moments import parse_duration
from redrive.cli.plots import band, bars, duration, marker

policy = typer.Typer(cls=Commands, help="Simulate policies.", no_args_is_help=True)

_WIDTH = 40
_MOST_ROWS = 24


@policy.callback()
def options() -> None:
    """Simulate policies."""


@policy.command("simulate")
def simulate(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]", help="Parts of a policy, as JSON or YAML; '-' is standard input. Without it the defaults."
        ),
    ] = None,
    group: Annotated[str | None, typer.Option(help="Lay them over the policy of this group.")] = None,
    scene: Annotated[str | None, typer.Option(help="Lay them over the policy of this scene of the group.")] = None,
    outage: Annotated[str, typer.Option(metavar="DURATION", help="How long the target is down.")] = "10m",
    tasks: Annotated[int, typer.Option(min=1, help="Tasks that failed when it went down.")] = 1000,
    attempt: Annotated[str, typer.Option(metavar="DURATION", help="How long an attempt takes.")] = "1s",
    deadline: Annotated[
        str | None, typer.Option(metavar="DURATION", help="When the tasks are worthless; never when omitted.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same answer.")] = 0,
    url: UrlOption = DEFAULT_URL,
    api_key: KeyOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the schedule of a policy, the outages that it survives, and the load that it puts on its target.

    Without --group nothing is asked of a server.
    """
    if scene is not None and group is None:
        raise typer.BadParameter("a scene belongs to a group: give --group as well")
    parts = {} if file is None else read_document(file)
    scenario: dict[str, Any] = {
        "outage_seconds": parse_duration(outage).total_seconds(),
        "tasks": tasks,
        "attempt_seconds": parse_duration(attempt).total_seconds(),
        "deadline_seconds": None if deadline is None else parse_duration(deadline).total_seconds(),
    }
    if group is None:
        found = _simulate_here(parts, scenario, seed, file)
    else:
        request = {**scenario, "policy": parts, "group": group, "scene": scene, "seed": seed}
        with ApiClient(url, api_key, namespace) as client:
            try:
                found = client.post("/v1/policies/simulate", request)
            except ApiError as error:
                if error.status == 422:
                    raise FileError(str(error)) from error
                raise
    if as_json:
        write_json(found)
    else:
        show(display.console(), found)


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Show a simulation to a person.

    Args:
        console: Where.
        found: The answer of `POST /v1/policies/simulate`.
    """
    attempts: list[dict[str, Any]] = found["attempts"]
    if not attempts:
        console.print("no attempt: the task expires before the first one is due", style="red")
        return
    console.print(_schedule(attempts))
    if len(attempts) > _MOST_ROWS:
        console.print(f"… and {len(attempts) - _MOST_ROWS} more", style="bright_black")
    total = found["total"]
    ends = (
        f"after {duration(total['median_seconds'])} for half of the tasks, {duration(total['latest_seconds'])} at most"
    )
    console.print(f"\nIf nothing ever succeeds, a task dies {ends}.")
    _show_outage(console, found)
    _show_load(console, found)
    if found["share_error"]:
        lives, error = found["lives"], found["share_error"]
        console.print(
            f"\n{lives:,} simulated lives: shares are right to ± {error:.1%} with 95 % confidence.", style="dim"
        )
    if found["truncated"]:
        console.print("Only the first attempts were looked at: it survives more than this says.", style="dim")


def _simulate_here(parts: dict[str, Any], scenario: Mapping[str, Any], seed: int, file: str | None) -> dict[str, Any]:
    from redrive.core.documents import encode  # noqa: PLC0415 - a command line that does something else starts quicker
    from redrive.core.errors import InvalidDocument  # noqa: PLC0415
    from redrive.core.layers import effective  # noqa: PLC0415
    from redrive.core.policy import parse  # noqa: PLC0415
    from redrive.core.simulation import Scenario, simulate  # noqa: PLC0415

    try:
        document = effective([parts])
        simulation = simulate(parse(document), Scenario(**scenario, starts_at=datetime.now(UTC)), Random(seed))  # noqa: S311 - no secret
    except InvalidDocument as error:
        place = "" if file is None or not error.path.startswith("policy") else f"{file}: "
        raise FileError(f"{place}{error}") from error
    return {"policy": document, "seed": seed, **encode(simulation)}


def _schedule(attempts: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("attempt", "earliest", "median", "latest", "reached"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("from earliest to latest, logarithm of time", no_wrap=True)
    shown = attempts[:_MOST_ROWS]
    upto: float = shown[-1]["starts"]["latest_seconds"]
    for attempt in shown:
        times: tuple[float, ...] = tuple(
            attempt["starts"][f"{name}_seconds"] for name in ("earliest", "median", "latest")
        )
        earliest, median, latest = times
        table.add_row(
            str(attempt["number"]),
            *(duration(seconds) for seconds in times),
            f"{attempt['reached']:.0%}",
            Text(band(earliest, median, latest, upto, _WIDTH), style="cyan"),
        )
    return table


def _show_outage(console: Console, found: Mapping[str, Any]) -> None:
    scenario = found["scenario"]
    lost, tasks = found["lost_tasks"], scenario["tasks"]
    style = "green" if found["survival"] > 0.999 else "yellow" if found["survival"] > 0.9 else "red"
    line = Text(f"\nAn outage of {duration(scenario['outage_seconds'])}: ")
    line.append(f"{_percent(found['survival'])} survive", style=style)
    line.append(f", {lost:,.0f} of {tasks:,} tasks are lost.")
    console.print(line)
    curve: list[dict[str, float]] = found["survival_curve"]
    if found["lives"] == 1 and curve:
        console.print(f"Every task survives an outage of up to {duration(curve[0]['outage_seconds'])}.")
    elif curve:
        points = "   ".join(f"{point['chance']:.0%} {duration(point['outage_seconds'])}" for point in curve)
        console.print(f"Share that survives an outage of …   {points}")


def _show_load(console: Console, found: Mapping[str, Any]) -> None:
    load, outage = found["load"], found["scenario"]["outage_seconds"]
    buckets: list[dict[str, float]] = load["buckets"]
    width: float = load["bucket_seconds"]
    amplification = load["amplification"]
    console.print(f"\nLoad on the target: {amplification:.1f} attempts per task, in steps of {duration(width)}.")
    console.print(Text(bars([bucket["requests"] for bucket in buckets]), style="cyan"))
    upto = width * len(buckets)
    if outage <= upto:
        console.print(Text(marker(outage, upto, len(buckets), "the target is back"), style="bright_black"))
    for name, peak in (("Peak", load["peak"]), ("Peak after the outage", load["peak_after_outage"])):
        if peak is not None:
            unsure = f" (± {peak['relative_error']:.0%})" if peak["relative_error"] else ""
            rate = f"{peak['requests_per_second']:,.1f}".removesuffix(".0")
            console.print(f"{name}: {rate} requests per second{unsure} at {duration(peak['at_seconds'])}.")


def _percent(share: float) -> str:
    return f"{share:.0%}" if share in (0, 1) else f"{min(max(share, 0.0001), 0.9999):.2%}"
