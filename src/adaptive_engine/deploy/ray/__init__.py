"""Internal models as replicas on a Ray cluster, asked by any number of servers.

```text
options.py      what an operator chooses for a model
application.py  the Ray Serve application of a model, for `adaptive deploy ray` and for configuration files
replica.py      one replica: an engine, and what Ray Serve asks of it
router.py       which replica a request goes to; autoscaling.py how many there are
cluster.py      to be part of a cluster, and what it says of its applications
engines.py      the server's side: `RayEngines` is the `ModelEngines` of a server
engine.py       requests to one model; answer.py what comes back
```

What is sent is what a server and its engine process send each other (`services/engine_process/messages.py`). Choosing a
replica, waiting for one, starting and restarting them are Ray Serve's business.
"""
