"""`adaptive ab-tests`: compare models on live traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adaptive_engine.cli.options import DataDir, InProject, Json
from adaptive_engine.cli.running import ApiKey, Url, require_server

if TYPE_CHECKING:
    from adaptive_engine.wire.ab_tests import AbTest, AbTestVariant

app = typer.Typer(help="Compare models on live traffic.", rich_markup_mode=None, no_args_is_help=True)

Key = Annotated[str, typer.Argument(help="The test's key or id.")]


@app.command("list")
def list_(
    project: InProject = "default",
    active: Annotated[bool, typer.Option("--active", help="Only those that have not ended.")] = False,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """List the A/B tests of a project.

    \b
    Example:
      adaptive ab-tests list --active
    """
    found = require_server(url, api_key, data_dir, lambda client: client.ab_tests.list(active or None, project=project))
    if json:
        typer.echo("[" + ",\n".join(test.model_dump_json(indent=2) for test in found) + "]")
        return
    if not found:
        typer.echo(f"Project '{project}' has no{' active' * active} A/B tests.", err=True)
    width = max((len(test.key) for test in found), default=0)
    for test in found:
        names = ", ".join(model.key for model in test.models)
        typer.echo(f"{test.key:{width}}  {test.status:11}  {test.traffic_split:4.0%}  {test.metric or '-'}: {names}")


@app.command()
def show(
    key: Key,
    project: InProject = "default",
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Show an A/B test and what its scores say by now.

    \b
    Example:
      adaptive ab-tests show which-is-better
    """
    from adaptive_engine.errors import NotFound

    test = require_server(url, api_key, data_dir, lambda client: client.ab_tests.get(key, project=project))
    if test is None:
        raise NotFound(f"A/B test '{key}' does not exist in project '{project}'.")
    typer.echo(test.model_dump_json(indent=2) if json else _report(test))


@app.command()
def create(
    key: Annotated[str, typer.Argument(help="What the test shall be called.")],
    models: Annotated[list[str], typer.Argument(help="Two or more models of the project.")],
    metric: Annotated[str, typer.Option("--metric", help="What they are judged by.")],
    project: InProject = "default",
    split: Annotated[float, typer.Option(help="Share of the requests that name no model, up to 1.")] = 1.0,
    preference: Annotated[bool, typer.Option(help="Judge by comparisons instead of values.")] = False,
    auto_deploy: Annotated[bool, typer.Option(help="The winner becomes the project's default model.")] = False,
    alpha: Annotated[float | None, typer.Option(help="Risk of a wrong winner. Default: 0.05")] = None,
    min_scores: Annotated[int | None, typer.Option(help="Scores per model before a decision. Default: 30")] = None,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Start an A/B test. It ends by itself when a model is better beyond doubt.

    \b
    Example:
      adaptive ab-tests create which-is-better smollm2 qwen3 --metric helpful --split 0.2 --auto-deploy
    """
    test = require_server(
        url,
        api_key,
        data_dir,
        lambda client: client.ab_tests.create(
            key,
            metric,
            models,
            split,
            "preference" if preference else "metric",
            auto_deploy,
            project,
            alpha=alpha,
            min_scores=min_scores,
        ),
    )
    typer.echo(test.model_dump_json(indent=2) if json else _report(test))


@app.command()
def cancel(
    key: Key, project: InProject = "default", data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None
) -> None:
    """End an A/B test without a verdict.

    \b
    Example:
      adaptive ab-tests cancel which-is-better
    """
    require_server(url, api_key, data_dir, lambda client: client.ab_tests.cancel(key, project=project))
    typer.echo(f"A/B test '{key}' is cancelled. Its requests go to the default model of '{project}' from now on.")


def _report(test: AbTest) -> str:
    judged = "values" if test.score_type == "DIRECT" else "comparisons"
    lines = [
        f"{test.key}: {test.status}, {test.traffic_split:.0%} of the requests of '{test.project}', "
        f"judged by {judged} of '{test.metric}'"
    ]
    width = max(len(model.key) for model in test.models)
    lines += [f"  {variant.model.key:{width}}  {_variant(variant)}" for variant in test.report.variants]
    for variant in test.report.variants:
        lines += [
            f"  {variant.model.key} against {other.model.key}: {other.wins} wins, {other.losses} losses, "
            f"ties {other.ties_good} good, {other.ties_bad} bad"
            for other in variant.comparisons or ()
        ]
    if test.verdict is not None:
        lines.append(f"  {test.verdict.text}")
    elif test.report.p_value is not None:
        lines.append(f"  p = {test.report.p_value:.3g}; it ends when p is at most {test.alpha:g}")
    if test.verdict is None and not test.has_enough_scores:
        lines.append(f"  Every model needs scores of {test.min_scores} sessions before one can win.")
    return "\n".join([*lines, *(f"  Warning: {warning}" for warning in test.warnings)])


def _variant(variant: AbTestVariant) -> str:
    counts = f"{variant.requests} answers, {variant.scores} scores"
    if variant.mean is None or variant.interval is None:
        return counts
    return f"{variant.mean:.4g} ({variant.interval.start:.4g} to {variant.interval.end:.4g}), {counts}"
