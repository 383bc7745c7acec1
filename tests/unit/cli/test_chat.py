"""`adaptive chat` as a user runs it: a process of its own, with pipes or in a terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from adaptive_engine import image
from image_files import file
from unit.sdk.scripted import DONE, Reply, ScriptedServer, chunk, endless, error_body, event, stream

# A shell starts background jobs, perhaps these tests, with Ctrl-C ignored, and children inherit that.
PROGRAM = """
import signal, typer
from adaptive_engine.cli.chat import chat
signal.signal(signal.SIGINT, signal.default_int_handler)
typer.run(chat)
"""
COMMAND = [sys.executable, "-c", PROGRAM]
WAIT_SECS = 20


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.stop()


@pytest.fixture
def environment(server: ScriptedServer, tmp_path: Path) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("ADAPTIVE_")}
    mine = {"ADAPTIVE_URL": server.url, "ADAPTIVE_API_KEY": "secret-key", "TERM": "dumb", "HOME": str(tmp_path)}
    return {**others, **mine, "COLUMNS": "40"}


def run(environment: dict[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, input=stdin, capture_output=True, text=True, timeout=WAIT_SECS
    )


def test_one_question(server: ScriptedServer, environment: dict[str, str]) -> None:
    text = "Grüß dich, [bold]" + "long line " * 20
    server.replies(Reply(frames=[event(chunk(text, "length")), event(chunk(None)), DONE]))
    done = run(environment, "Hi", "--system", "Be kind.", "--temperature", "0", "--max-tokens", "9", "--model", "m")
    assert (done.returncode, done.stdout) == (0, text + "\n")
    assert "2 tokens" in done.stderr
    assert "cut at the token limit" in done.stderr
    body = server.last.body
    assert body["model"] == "default/m"
    assert body["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    assert (body["temperature"], body["max_tokens"]) == (0, 9)
    assert UUID(body["session_id"])


def test_pictures_of_a_question(server: ScriptedServer, environment: dict[str, str], tmp_path: Path) -> None:
    server.replies(Reply(frames=stream("A cat.\n")))
    first, second = tmp_path / "a.png", tmp_path / "b.jpg"
    first.write_bytes(file())
    second.write_bytes(file(kind="JPEG"))
    done = run(environment, "What is this?", "--image", str(first), "--image", str(second))
    assert (done.returncode, done.stdout) == (0, "A cat.\n")
    (message,) = server.last.body["messages"]
    assert message["content"] == [{"type": "text", "text": "What is this?"}, image(first), image(second)]


@pytest.mark.parametrize("name", ["nowhere.png", "text.png"])
def test_no_picture_is_one_line(environment: dict[str, str], tmp_path: Path, name: str) -> None:
    (tmp_path / "text.png").write_text("text")
    done = run(environment, "What is this?", "--image", str(tmp_path / name))
    assert (done.returncode, done.stdout) == (1, "")
    assert name in done.stderr
    assert done.stderr.count("\n") == 1


def test_piped_question(server: ScriptedServer, environment: dict[str, str]) -> None:
    server.replies(Reply(frames=stream("Yes.\n")))
    session = "01890000-0000-7000-8000-00000000000f"
    done = run(environment, "--project", "p", "--session", session, stdin="Is it?\n")
    assert (done.returncode, done.stdout) == (0, "Yes.\n")
    body = server.last.body
    assert (body["model"], body["messages"][0]["content"], body["session_id"]) == ("p", "Is it?", session)


def test_warnings_are_shown(server: ScriptedServer, environment: dict[str, str]) -> None:
    warned = {**chunk("Yes."), "warnings": [{"code": "c", "message": "top_k is not supported"}]}
    server.replies(Reply(frames=[event(warned), DONE]))
    done = run(environment, "Hi")
    assert "top_k is not supported" in done.stderr
    assert done.stdout == "Yes.\n"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(error_body("The key\nis wrong."), status=401), "The key is wrong (HTTP 401). The key came from"),
        (Reply(frames=[event(chunk("so far")), event(error_body("The engine failed."))]), "The engine failed."),
        (Reply(frames=[event(chunk("so far"))]), "may be incomplete"),
        (Reply(content=b"<html>"), "base_url"),
        (
            Reply(error_body("EntityNotFound: Project 'p' is gone."), status=404),
            "Error: Project 'p' is gone (HTTP 404)",
        ),
    ],
)
def test_failure_is_one_line(server: ScriptedServer, environment: dict[str, str], reply: Reply, message: str) -> None:
    server.replies(reply)
    done = run(environment, "Hi")
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout in ("", "so far\n")


@pytest.mark.parametrize(
    ("variables", "arguments", "message"),
    [
        ({"ADAPTIVE_API_KEY": ""}, ["Hi"], "ADAPTIVE_API_KEY"),
        ({"ADAPTIVE_URL": "nowhere"}, ["Hi"], "base_url"),
        ({}, [], "Nothing to ask"),
    ],
)
def test_mistake_is_one_line(
    environment: dict[str, str], variables: dict[str, str], arguments: list[str], message: str
) -> None:
    done = run({**environment, **variables}, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_ctrl_c_stops_the_server_too(server: ScriptedServer, environment: dict[str, str]) -> None:
    server.replies(Reply(frames=endless()))
    process = subprocess.Popen([*COMMAND, "Hi"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT_SECS)
    assert process.returncode == 130
    assert b"stopped after" in errors
    assert server.disconnected.wait(WAIT_SECS)


class Terminal:
    """A person at a terminal who types and reads."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(COMMAND[0], COMMAND, environment)
        self._seen = ""

    def read_until(self, text: str) -> str:
        """What is shown up to and including `text`."""
        deadline = time.monotonic() + WAIT_SECS
        while text not in self._seen:
            ready, _, _ = select.select([self._fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} did not come, only {self._seen!r}"
            self._read()
        before, _, self._seen = self._seen.partition(text)
        return before + text

    def _read(self) -> None:
        self._seen += os.read(self._fd, 4096).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def ctrl_c(self) -> None:
        """Press Ctrl-C, and Enter until there is a prompt: the kernel sends the signal and then empties its buffers,
        so that the first prompt may be lost.
        """
        self.type("\x03")
        while "> " not in self._seen:
            if not select.select([self._fd], [], [], 1)[0]:
                self.type("\n")
            else:
                self._read()
        self.read_until("> ")

    def exit_status(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        os.close(self._fd)
        return os.waitstatus_to_exitcode(status)


def test_conversation(server: ScriptedServer, environment: dict[str, str]) -> None:
    server.replies(
        Reply(frames=stream("Hello \x1b]0;evil\x07Ada.")),
        Reply(frames=endless("and on ")),
        Reply(error_body("Not now."), status=400),
        Reply(frames=stream("Again.")),
    )
    terminal = Terminal(environment)
    assert "project default" in terminal.read_until("> ")
    terminal.type("I am Ada\n")
    shown = terminal.read_until("> ")
    assert "Hello ]0;evilAda." in shown
    assert "\x07" not in shown

    terminal.type("Tell more\n")
    terminal.read_until("and on and on")
    terminal.ctrl_c()
    assert server.disconnected.wait(WAIT_SECS)
    terminal.type("/help\n")
    terminal.read_until("Ctrl-C stops the answer")
    first, second = (received.body for received in server.received)
    assert [turn["role"] for turn in second["messages"]] == ["user", "assistant", "user"]
    assert first["session_id"] == second["session_id"]

    terminal.type("And now?\n")
    terminal.read_until("Error: Not now")
    # The stopped answer stays in the conversation, the failed question does not.
    assert [turn["role"] for turn in server.last.body["messages"]] == ["user", "assistant"] * 2 + ["user"]

    terminal.type("/nonsense\n")
    terminal.read_until("/help lists them")
    terminal.type("/new\n")
    terminal.read_until("A new conversation")
    terminal.read_until("> ")
    terminal.type("half a li")
    terminal.ctrl_c()
    terminal.ctrl_c()
    terminal.type("Hi\n")
    terminal.read_until("Again.")
    assert server.last.body["messages"] == [{"role": "user", "content": "Hi"}]
    assert server.last.body["session_id"] != first["session_id"]
    terminal.read_until("> ")
    terminal.type("\x04")
    assert terminal.exit_status() == 0


def test_a_picture_in_a_conversation(server: ScriptedServer, environment: dict[str, str], tmp_path: Path) -> None:
    server.replies(Reply(frames=stream("A cat.")))
    path = tmp_path / "a cat.png"
    path.write_bytes(file())
    terminal = Terminal(environment)
    terminal.read_until("> ")
    terminal.type(f"/image {path}\n")
    terminal.read_until("a cat.png is in the next question")
    terminal.type("/image\n")
    terminal.read_until("Name a file")
    terminal.type("/image nowhere.png\n")
    terminal.read_until("nowhere.png")
    terminal.type("What is this?\n")
    terminal.read_until("A cat.")
    terminal.read_until("> ")
    terminal.type("Really?\n")
    terminal.read_until("A cat.")
    terminal.read_until("> ")
    asked, _, again = server.last.body["messages"]
    assert asked["content"] == [{"type": "text", "text": "What is this?"}, image(path)]
    assert again["content"] == "Really?"
    terminal.type("\x04")
    assert terminal.exit_status() == 0


def test_quit(environment: dict[str, str]) -> None:
    terminal = Terminal(environment)
    terminal.read_until("> ")
    terminal.type("/quit\n")
    assert terminal.exit_status() == 0
