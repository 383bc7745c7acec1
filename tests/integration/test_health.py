import requests

from integration.server import Server


def test_readyz(server: Server) -> None:
    assert requests.get(f"{server.url}/readyz", timeout=10).json() == {"status": "ok", "problems": []}
