"""`adaptive chat`: a conversation in the terminal, through the public API like any other client."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import typer

if TYPE_CHECKING:
    from adaptive_engine.sdk import Adaptive
    from adaptive_engine.wire.chat import ChatChunk

HELP = """\
/image PATH   put an image into the next question
/new          start over: forget the conversation, begin a new session
/help         show this
/quit         leave, like Ctrl-D
Ctrl-C stops the answer that is being written."""

INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended, by the convention of shells."""

# A model's text must not move the cursor, set the title or write to the clipboard: no control characters but \n and \t.
_CONTROL = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
del _CONTROL[ord("\n")], _CONTROL[ord("\t")]


def chat(
    question: Annotated[
        str | None, typer.Argument(help="Ask this and leave. Without it: the piped text, or a conversation.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of the server. Default: ADAPTIVE_URL, else http://127.0.0.1:9000")
    ] = None,
    api_key: Annotated[str | None, typer.Option(help="Default: ADAPTIVE_API_KEY")] = None,
    project: Annotated[str, typer.Option(help="The project to ask in.")] = "default",
    model: Annotated[str | None, typer.Option(help="A model of the project. Default: the project decides.")] = None,
    system: Annotated[str | None, typer.Option(help="A system prompt.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="0 is the most likely answer.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer, in tokens.")] = 1024,
    image: Annotated[list[Path] | None, typer.Option(help="An image to ask about; can be given several times.")] = None,
    session: Annotated[
        UUID | None, typer.Option(help="Store the turns under this session. Default: a new one.")
    ] = None,
) -> None:
    """Talk to a model of a running server.

    The answer goes to standard output, everything else to standard error.
    """
    from adaptive_engine.sdk import Adaptive, AdaptiveSDKError

    screen = Screen()
    try:
        with Adaptive(url, api_key, project) as client:
            options = Options(model, system, temperature, max_tokens)
            conversation = Conversation(client, options, session or uuid4())
            for path in image or ():
                conversation.attach(path)
            if question is None and sys.stdin.isatty():
                _talk(conversation, screen)
            else:
                _ask_once(conversation, screen, question or sys.stdin.read())
    except (AdaptiveSDKError, ValueError, OSError) as exc:
        screen.error(exc)
        raise typer.Exit(1) from None


@dataclass(frozen=True, slots=True)
class Options:
    """What stays the same for all turns; None leaves it to the server."""

    model: str | None
    system: str | None
    temperature: float | None
    max_tokens: int


@dataclass
class Conversation:
    """The turns so far: the server keeps none for us, each request brings them all."""

    client: Adaptive
    options: Options
    session_id: UUID
    turns: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    """Parts of the next question."""

    def attach(self, path: Path) -> None:
        """Raises ValueError or OSError for a file that is no image."""
        from adaptive_engine.sdk import image

        self.images.append(image(path))

    def restart(self) -> None:
        self.turns.clear()
        self.images.clear()
        self.session_id = uuid4()

    def ask(self, question: str, screen: Screen) -> bool:
        """Show the answer as it comes. False when Ctrl-C stopped it; what was said until then stays.

        Raises the SDK's errors, after which the question counts as not asked.
        """
        parts = [{"type": "text", "text": question}, *self.images]
        turn = {"role": "user", "content": parts if self.images else question}
        answer = Answer()
        try:
            self._receive([*self.turns, turn], answer, screen)
        except KeyboardInterrupt:
            answer.stopped = True
        finally:
            screen.end_answer(answer.text)
            # They belong to this question, also where it failed.
            self.images = []
        if answer.text:
            self.turns += [turn, {"role": "assistant", "content": answer.text}]
        screen.note(answer.summary())
        return not answer.stopped

    def _receive(self, turns: list[dict[str, Any]], answer: Answer, screen: Screen) -> None:
        options = self.options
        system = [{"role": "system", "content": options.system}] if options.system else []
        stream = self.client.chat.create(
            [*system, *turns],
            model=options.model,
            temperature=options.temperature,
            max_tokens=options.max_tokens,
            session_id=self.session_id,
            stream=True,
            stream_include_usage=True,
        )
        with stream:
            for chunk in stream:
                screen.write(answer.add(chunk))
                for warning in chunk.warnings:
                    screen.note(f"Warning: {warning.message}")


@dataclass
class Answer:
    """What has arrived of one answer."""

    text: str = ""
    tokens: int | None = None
    """None until the server counted them, at the end."""
    finish_reason: str | None = None
    stopped: bool = False
    _started: float = field(default_factory=time.perf_counter)

    def add(self, chunk: ChatChunk) -> str:
        """Take in one chunk; returns its text."""
        if chunk.usage is not None:
            self.tokens = chunk.usage.completion_tokens
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        self.finish_reason = choice.finish_reason or self.finish_reason
        self.text += choice.delta.content
        return choice.delta.content

    def summary(self) -> str:
        seconds = time.perf_counter() - self._started
        if self.stopped:
            return f"stopped after {seconds:.1f} s"
        cut = ", cut at the token limit" if self.finish_reason == "length" else ""
        if self.tokens is None:
            return f"{seconds:.1f} s{cut}"
        return f"{self.tokens} tokens, {seconds:.1f} s, {self.tokens / max(seconds, 1e-9):.0f} tokens/s{cut}"


class Screen:
    """Answers to standard output, all else to standard error.

    Plain writes instead of a rich console, which Ctrl-C in the middle of its printing can leave silent for good.
    """

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()

    def write(self, text: str) -> None:
        """A piece of an answer, as it is; in a terminal without control characters."""
        sys.stdout.write(text.translate(_CONTROL) if self._is_terminal else text)
        sys.stdout.flush()

    def end_answer(self, text: str) -> None:
        if text and not text.endswith("\n"):
            self.write("\n")

    def note(self, text: str) -> None:
        typer.secho(text.translate(_CONTROL), err=True, dim=True)

    def error(self, problem: object) -> None:
        """One line, whatever the server's message looks like."""
        # The mark is for programs; other commands leave it out too.
        line = " ".join(str(problem).removeprefix("EntityNotFound: ").split())
        typer.echo(f"Error: {line.translate(_CONTROL)}", err=True)


def _ask_once(conversation: Conversation, screen: Screen, question: str) -> None:
    if not question.strip():
        raise ValueError("Nothing to ask: the question is empty")
    if not conversation.ask(question.strip(), screen):
        raise typer.Exit(INTERRUPTED)


def _talk(conversation: Conversation, screen: Screen) -> None:
    """Question and answer until /quit or Ctrl-D. An error ends the turn, not the conversation."""
    from adaptive_engine.sdk import AdaptiveSDKError

    # Importing it gives `input` line editing and a history; Windows has none.
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401
    screen.note(f"{conversation.client.base_url}, project {conversation.client.default_project}. /help shows the keys.")
    while True:
        try:
            line = input("> ").strip()
            if line in ("/quit", "/exit"):
                return
            _handle_line(line, conversation, screen)
        except (AdaptiveSDKError, ValueError, OSError) as exc:
            screen.error(exc)
        except KeyboardInterrupt:
            # Between answers it discards the line. Pressed once too often, it must not cost the conversation.
            screen.write("\n")
        except EOFError:
            screen.write("\n")
            return


def _handle_line(line: str, conversation: Conversation, screen: Screen) -> None:
    match line:
        case "":
            return
        case "/new":
            conversation.restart()
            screen.note("A new conversation.")
        case "/help":
            screen.note(HELP)
        case "/image":
            screen.note("Name a file: /image photo.jpg")
        case _ if line.startswith("/image "):
            path = Path(line.removeprefix("/image ").strip())
            conversation.attach(path)
            screen.note(f"{path.name} is in the next question.")
        case _ if line.startswith("/"):
            screen.note(f"There is no command {line.split()[0]}; /help lists them.")
        case _:
            conversation.ask(line, screen)
