"""Internal models in a process of their own, so that its end is not the server's.

```text
supervisor.py   starts the process, watches its heartbeat, and starts it again
start.py        puts the two ends together, for a server that has no workers
client.py       the server's side: `EngineClient` is the `ModelEngines` of a server
engine.py       requests to one of its models
connection.py   its end of a socket: a thread that reads, and writes that hold up nobody
frames.py       what a message is on the socket; messages.py what is in one
__main__.py     the process; host.py what it does with the messages of a connection, sent.py its streams
```

Server to process: `read_ahead`, `load`, `cancel`; and `unload`, `generate`, `inspect`, `check`, which have an `id` and
get one `answer` with it. Process to server: those answers; how all `models` are, at each change and every second; and
the deltas of all streams, one message for each step. Numbers of requests and streams are the server's.

A `generate` carries a prepared request: messages, decoded images, sampling, response format, limits, project. Chat
templates, tokens, grammars and the KV cache are the process's business.
"""
