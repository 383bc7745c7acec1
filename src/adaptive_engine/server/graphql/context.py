"""What every resolver is given: the services, who asks, and rows that were read for this operation already."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Sequence as Seq
from typing import TypeAlias
from uuid import UUID

from graphql import GraphQLResolveInfo

from adaptive_engine.server.context import Services
from adaptive_engine.server.graphql.loader import Loader
from adaptive_engine.services import access, metrics
from adaptive_engine.services.metrics import MetricUse
from adaptive_engine.store import comparisons, interactions, models
from adaptive_engine.store import metrics as store_metrics
from adaptive_engine.store.interactions import StoredInteraction
from adaptive_engine.types import Comparison, Model, Principal, Project


class Context:
    """Of one operation."""

    def __init__(self, services: Services, principal: Principal) -> None:
        self.services = services
        self.principal = principal
        self.read = services.read
        self.write = services.write
        self.change_access = services.change_access
        self.change_routing = services.change_routing
        self.metrics: Loader[UUID, MetricUse] = Loader(self._read_metrics)
        self.models: Loader[UUID, Model] = Loader(self._read_models)
        self.comparisons: Loader[UUID, Seq[Comparison]] = Loader(self._read_comparisons)
        self.completions: Loader[UUID, StoredInteraction] = Loader(self._read_completions)

    def require(self, permission: str) -> None:
        """Raises PermissionDenied unless the caller has the permission on the whole server."""
        access.require(self.principal, permission)

    def project(self, id_or_key: str, needs: str = "project:read") -> Project:
        """Raises NotFound, PermissionDenied."""
        return self.services.routing.project(self.principal, id_or_key, needs=needs)

    def projects(self, only: str | None = None, needs: str = "project:read") -> list[Project]:
        """All that the caller has the permission in, or the `only` one that is named. Raises as `project` does."""
        return self.services.routing.projects(self.principal, only, needs=needs)

    def _read_metrics(self, ids: Collection[UUID]) -> Mapping[UUID, MetricUse]:
        with self.services.database.read() as connection:
            found = [metric for id_ in ids if (metric := store_metrics.get_by_id(connection, id_))]
            return {use.metric.id: use for use in metrics.with_use(connection, found)}

    def _read_models(self, ids: Collection[UUID]) -> Mapping[UUID, Model]:
        with self.services.database.read() as connection:
            return {model.id: model for model in models.list_all(connection) if model.id in ids}

    def _read_comparisons(self, ids: Collection[UUID]) -> Mapping[UUID, Seq[Comparison]]:
        with self.services.database.read() as connection:
            return comparisons.list_for_preferred(connection, ids)

    def _read_completions(self, ids: Collection[UUID]) -> Mapping[UUID, StoredInteraction]:
        projects = {each.id for each in self.projects(needs="interaction:read")}
        with self.services.database.read() as connection:
            found = interactions.load(connection, [*ids])
        return {each.interaction.id: each for each in found if each.interaction.project_id in projects}


Info: TypeAlias = GraphQLResolveInfo[Context]
"""What graphql-core gives each resolver."""
