"""`adaptive schema`: what would become of a JSON schema, said without a server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptive_engine.cli.options import DataDir, models_dir, resolve_data_dir

if TYPE_CHECKING:
    from adaptive_engine.grammar.masks import Vocabulary
    from adaptive_engine.wire.structured import KeywordNote, SchemaReport

app = typer.Typer(help="Check JSON schemas for structured output.", rich_markup_mode=None, no_args_is_help=True)

_VERDICTS = {
    "enforced": "Every finished answer matches this schema.",
    "partly_enforced": "Not all of it can be enforced; finished answers are validated, and say whether they match.",
    "not_enforced": "Nothing of it can be enforced: answers are free text, with a warning.",
    "refused": "Requests with this schema are refused.",
}
_ENVELOPE = {"name", "description", "schema", "strict", "complete"}
_EXIT = {"enforced": 0, "partly_enforced": 1, "not_enforced": 1, "refused": 2}


@app.command()
def check(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A JSON schema or a response_format; - is standard input.")
    ],
    model: Annotated[
        str | None, typer.Option("--model", help="Count the tokens of this model; by default of the only one there is.")
    ] = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Say what of a JSON schema is enforced, rewritten, only checked afterwards, or refused.

    Exit status 0 when every finished answer matches, 1 when something is not enforced, 2 when it is refused.

    \b
    Examples:
      adaptive schema check person.schema.json
      python -c 'import json, app; print(json.dumps(app.Person.model_json_schema()))' | adaptive schema check -
    """
    schema = _schema_of(_read(file))
    vocabulary, unit = _vocabulary(models_dir(resolve_data_dir(data_dir)), model)
    report = _inspect(schema, vocabulary)
    if as_json:
        typer.echo(report.model_dump_json(indent=2, exclude_none=True))
    else:
        _print(report, unit)
    raise typer.Exit(_EXIT[report.verdict])


def _inspect(schema: Any, vocabulary: Vocabulary) -> SchemaReport:
    from adaptive_engine.errors import Overloaded
    from adaptive_engine.grammar.checker import CheckerBusy, Checkers
    from adaptive_engine.grammar.inspection import inspect
    from adaptive_engine.services.structured import report

    checkers = Checkers()
    try:
        return report(inspect(schema, vocabulary, checkers))
    except CheckerBusy as exc:
        raise Overloaded("The machine had no time to check the schema. Try again.") from exc
    finally:
        checkers.close()


def _print(report: SchemaReport, unit: str) -> None:
    typer.echo(f"{report.verdict.replace('_', ' ')}: {_VERDICTS[report.verdict]}")
    if report.refused:
        typer.echo(f"\n  {report.refused.pointer or '(root)'}: {report.refused.reason} [{report.refused.code}]")
        return
    if report.not_enforced:
        typer.echo(f"\n  {report.not_enforced}")
        return
    _print_notes("Checked afterwards", report.unenforced)
    _print_notes("Narrowed (every answer is valid, but some valid answers are never given)", report.narrowed)
    _print_notes("Rewritten, with the same meaning", report.rewritten)
    if report.enforced:
        typer.echo(f"\nEnforced as it is: {', '.join(report.enforced)}")
    shortest = report.shortest_answer
    if shortest is None:
        typer.echo("\nNo shortest answer was found; `complete` would be refused.")
    else:
        text = shortest.text if len(shortest.text) <= 200 else shortest.text[:200] + "..."
        typer.echo(f"\nShortest answer found: {text}")
        typer.echo(f"  {shortest.tokens} {unit}, {shortest.forced_share:.0%} of them forced by the schema")
    typer.echo(f"Compiled in {report.compile_ms:.0f} ms, once per schema and server")


def _print_notes(title: str, notes: list[KeywordNote]) -> None:
    if notes:
        typer.echo(f"\n{title}:")
    for note in notes:
        typer.echo(f"  {note.pointer or '(root)'}: {note.reason}")


def _read(file: str) -> Any:
    from adaptive_engine.errors import InvalidRequest

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
        return json.loads(text)
    except OSError as exc:
        raise InvalidRequest(f"{file} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise InvalidRequest(f"{file} is not UTF-8 text.") from exc
    except ValueError as exc:
        raise InvalidRequest(f"{file} is not JSON: {exc}.") from exc
    except RecursionError as exc:
        raise InvalidRequest(f"{file} is nested too deeply.") from exc


def _schema_of(content: Any) -> Any:
    """The schema itself, or the one in a response_format or in its envelope."""
    if isinstance(content, dict) and content.get("type") in ("json_schema", "json_object"):
        content = content.get("json_schema", {"schema": {"type": "object"}})
    if isinstance(content, dict) and "schema" in content and not content.keys() - _ENVELOPE:
        return content["schema"]
    return content


def _vocabulary(models: Path, model: str | None) -> tuple[Vocabulary, str]:
    """The tokens to count, and how they are called. Without a model on this machine, bytes."""
    from adaptive_engine.engine.tokenizer import SpecialTokens, read_definition
    from adaptive_engine.errors import NotFound
    from adaptive_engine.grammar.masks import Vocabulary

    found = sorted(path.parent.name for path in models.glob("*/tokenizer.json"))
    if model is None and len(found) != 1:
        return Vocabulary.of_bytes(), "bytes"
    if model is not None and model not in found:
        raise NotFound(f"There is no model '{model}' in {models}. There: {', '.join(found) or 'none'}.")
    key = model or found[0]
    vocabulary = Vocabulary.of(read_definition(models / key), end_ids=SpecialTokens.read(models / key).end_ids)
    return vocabulary, f"tokens of {key}"
