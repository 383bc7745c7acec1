"""Reaches models that live elsewhere. Knows no project, store or server of ours.

    base.py               Provider and Dialect, what a vendor has to say; Profile, what a model can do
    registry.py           the vendors by name
    stream.py             one generation: tries, time limits, circuit breaker (breaker.py)
    http_provider.py      a provider over HTTP in any dialect, from http.py (with connection.py) and sse.py
    addresses.py          where requests may go
    openai_compatible.py  a dialect; each other vendor has a file of its own, with what they share in translation.py
    schemas.py            a client's schema reduced to what a vendor takes: schema_rules.py, schema_shapes.py
    fake.py               a provider without a network

A new vendor is a dialect and a line in the registry; tests/unit/providers/contract.py is what it has to pass.
"""
