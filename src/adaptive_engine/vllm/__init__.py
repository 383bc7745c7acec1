"""Runs models with vLLM: a process of `vllm serve` for each, started, watched and ended. Knows no project or store.

    command.py   what is started, and with which environment
    guard.py     between the server and vLLM: no process of it outlives the server, and its logs are kept short
    process.py   the server's side of the guard
    client.py    whether vLLM answers, and what it says of itself
    start_log.py what it wrote when it started: memory, and why it failed
    server.py    one model: ready, restarted, ended

Requests go to it as to any other provider (providers/vllm.py). A guard imports nothing but the standard library.
"""
