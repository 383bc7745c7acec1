# Generated from _async/imports.py by scripts/unasync.py. Edit that file, then run the script.
"""/api/v1/admin/imports: models brought to the server. Needs an admin key."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from adaptive_engine.sdk.errors import NotFoundError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode, encode, path_part
from adaptive_engine.wire.imports import ImportSources, ModelImport, ModelImportList

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive

# A name for it, because inside the class `list` is the method.
FoundImports: TypeAlias = list[ModelImport]

_ASK_EVERY_SECS = 0.5


class Imports:
    """Models that the server imports, one at a time.

    ```python
    begun = client.imports.create("smollm2-135m-instruct")
    done = client.imports.wait(begun.id)
    print(done.state, done.error and done.error.message)
    ```
    """

    def __init__(self, client: Adaptive) -> None:
        self._client = client

    def create(self, name: str | None = None, *, path: str | None = None, key: str | None = None) -> ModelImport:
        """Begin to import a model of the catalog, or the file or directory at `path` in the server's import directory.

        `key` is the model's, by default taken from the name. Raises ConflictError while another import runs.
        """
        fields = {"name": name, "path": path, "key": key}
        return decode(ModelImport, self._client._send(Call("POST", "/admin/imports", content=encode(fields))))

    def list(self) -> FoundImports:
        """The newest ones since the server was started, newest first."""
        return decode(ModelImportList, self._client._send(Call("GET", "/admin/imports"))).data

    def sources(self) -> ImportSources:
        """What can be imported: the catalog, and the files of the import directory if there is one."""
        return decode(ImportSources, self._client._send(Call("GET", "/admin/imports/sources")))

    def get(self, import_id: UUID | str) -> ModelImport | None:
        """How far it is; None where the server does not know it, or not any more."""
        try:
            response = self._client._send(Call("GET", _path(import_id)))
        except NotFoundError as error:
            if error.code != "import_not_found":
                raise
            return None
        return decode(ModelImport, response)

    def wait(self, import_id: UUID | str, on_progress: Callable[[ModelImport], object] | None = None) -> ModelImport:
        """Return when it has ended: its `state` says how. `on_progress` is told about twice a second how far it is.

        Raises NotFoundError when the server was restarted meanwhile.
        """
        while True:
            found = decode(ModelImport, self._client._send(Call("GET", _path(import_id))))
            if on_progress is not None:
                on_progress(found)
            if found.state != "RUNNING":
                return found
            time.sleep(_ASK_EVERY_SECS)

    def cancel(self, import_id: UUID | str) -> ModelImport:
        """End it and remove what it wrote. One that has ended stays as it is."""
        return decode(ModelImport, self._client._send(Call("POST", f"{_path(import_id)}/cancel")))


def _path(import_id: UUID | str) -> str:
    return f"/admin/imports/{path_part('import_id', import_id)}"
