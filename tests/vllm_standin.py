"""Stands in for the command `vllm`: speaks as much of `vllm serve` as its supervision needs, and fails as it is told.

Written from https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html and the answers of version 0.32. A
token is a word. It imports nothing but the standard library, so that it starts at once.

    python vllm_standin.py serve MODEL [OPTIONS OF VLLM] [--standin BEHAVIOUR[:FILE]]...

    crash            ends at once, with words like vLLM's
    crash-once:FILE  the same, unless FILE is there; makes it
    hang             never listens
    wrong-port       listens elsewhere
    garbage          answers everything with what is no HTTP
    keyless          answers whoever asks
    another          serves a model of another name
    sick:FILE        /health does not answer while FILE is there
    stubborn         overlooks SIGTERM
    litter:FILE      leaves a process of its own behind, whose number is in FILE
    chatty           writes more than its log may hold

A message of a user says what to do: `echo` answers with the request's body, `endless` never ends, `die` ends the
process in mid-answer.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TEXT = "One two three four five, and then six and seven."
START = """\
(EngineCore pid=1) INFO 11-22 04:49:44 [gpu_model_runner.py:5150] Model loading took 0.25 GiB memory and 0.4 seconds
(EngineCore pid=1) INFO 11-22 04:49:46 [gpu_worker.py:760] Available KV cache memory: 1.0 GiB
(EngineCore pid=1) INFO 11-22 04:53:46 [kv_cache_utils.py:2328] GPU KV cache size: 46,592 tokens, Maximum concurrency
"""
CRASH = """\
(EngineCore pid=2) ERROR 11-22 04:49:44 [core.py:133] Traceback (most recent call last):
(EngineCore pid=2) ERROR 11-22 04:49:44 [core.py:133] ValueError: No available memory for the cache blocks.
(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""


def arguments() -> tuple[argparse.Namespace, dict[str, Path]]:
    parser = argparse.ArgumentParser("vllm")
    parser.add_argument("serve", choices=["serve"])
    parser.add_argument("model")
    for name in ("host", "served-model-name", "structured-outputs-config", "uvicorn-log-level", "scheduling-policy"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--port", type=int)
    parser.add_argument("--max-model-len", type=int, default=2048)
    parser.add_argument("--enable-prompt-tokens-details", action="store_true")
    parser.add_argument("--standin", action="append", default=[])
    parsed = parser.parse_args()
    parts = [behaviour.partition(":") for behaviour in parsed.standin]
    return parsed, {name: Path(file) for name, _, file in parts}


ASKED, DOES = arguments()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        if "garbage" in DOES:
            self.connection.recv(1)
            self.wfile.write(b"\x00\xff" * 4096)
            self.close_connection = True
            return
        super().handle_one_request()

    def do_GET(self) -> None:
        if self.path == "/health":
            while "sick" in DOES and DOES["sick"].exists():
                time.sleep(0.01)
            self.reply(200, b"")
        elif self.path == "/metrics":
            self.reply(200, b'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25\n', "text/plain")
        elif not self.authorized():
            self.reply(401, b'{"error":"Unauthorized"}')
        else:
            name = "another" if "another" in DOES else ASKED.served_model_name
            model = {"id": name, "object": "model", "max_model_len": ASKED.max_model_len}
            self.reply(200, json.dumps({"object": "list", "data": [model]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.authorized():
            self.reply(401, b'{"error":"Unauthorized"}')
            return
        prompt = " ".join(text_of(message["content"]) for message in body["messages"])
        words = len(prompt.split())
        if words > ASKED.max_model_len:
            message = f"This model's maximum context length is {ASKED.max_model_len} tokens. However, you had {words}."
            error = {"message": message, "type": "BadRequestError", "param": "input_tokens", "code": 400}
            self.reply(400, json.dumps({"error": error}).encode())
            return
        self.answer(body, prompt.split()[-1] if prompt else "", words)

    def answer(self, body: dict, wish: str, prompt_tokens: int) -> None:
        text = TEXT
        if wish == "echo":
            text = json.dumps({name: value for name, value in body.items() if name != "messages"})
        elif "structured_outputs" in body:
            text = json.dumps({"city": "Rome", "inhabitants": 2_800_000})
        for stop in body.get("stop", ()):
            text = text.partition(stop)[0]
        pieces = [piece + " " for piece in text.split(" ")] if text else []
        pieces[-1:] = [piece[:-1] for piece in pieces[-1:]]
        most = body.get("max_tokens") or len(pieces)
        reason = "length" if len(pieces) > most else "stop"
        pieces = pieces[:most]
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": len(pieces), "total_tokens": 0}
        usage["prompt_tokens_details"] = {"cached_tokens": 1}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(pieces)}
            choice = {"index": 0, "message": message, "finish_reason": reason}
            self.reply(200, json.dumps({"choices": [choice], "usage": usage}).encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
            if wish == "die":
                os._exit(3)
            while wish == "endless":
                self.event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
                time.sleep(0.01)
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        self.event({"choices": [], "usage": usage})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def event(self, event: dict) -> None:
        self.chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def authorized(self) -> bool:
        return "keyless" in DOES or self.headers["Authorization"] == f"Bearer {os.environ['VLLM_API_KEY']}"

    def reply(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def text_of(content: object) -> str:
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients leave."""


def main() -> None:
    say(START)
    once = DOES.get("crash-once")
    if "crash" in DOES or (once is not None and not once.exists()):
        if once is not None:
            once.touch()
        sys.exit(CRASH)
    if "stubborn" in DOES:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "litter" in DOES:
        sleeper = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-I", "-S", "-c", sleeper], start_new_session=True)
        DOES["litter"].write_text(str(child.pid))
    if "chatty" in DOES:
        for _ in range(12):
            say("x" * (1 << 20) + "\n")
    if "hang" in DOES:
        time.sleep(600)
    Server((ASKED.host, 0 if "wrong-port" in DOES else ASKED.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
