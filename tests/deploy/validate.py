"""Run with the Python of `.venvs/deploy`: raises what Kubernetes' schemas have against manifests, given as JSON."""

from __future__ import annotations

import json
import sys

import kubernetes_validate

KUBERNETES = ("1.27", "1.37")


def main() -> None:
    for manifest in json.load(sys.stdin):
        for version in KUBERNETES:
            kubernetes_validate.validate(manifest, version, strict=True)


if __name__ == "__main__":
    main()
