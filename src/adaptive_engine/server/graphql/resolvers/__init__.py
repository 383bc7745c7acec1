"""The resolvers, a file per noun. Sources are the services' own dataclasses."""

from __future__ import annotations

from ariadne import SchemaBindable

from adaptive_engine.server.graphql.resolvers import ab_tests, interactions, metrics, models, projects, users
from adaptive_engine.server.graphql.scalars import SCALARS

_COMMON: tuple[SchemaBindable, ...] = (
    *SCALARS,
    *projects.BINDABLES,
    *models.BINDABLES,
    *metrics.BINDABLES,
    *ab_tests.BINDABLES,
    *interactions.BINDABLES,
    *users.BINDABLES,
)
BINDABLES: tuple[SchemaBindable, ...] = (*_COMMON, models.current_mutation, users.current_mutation)
USE_CASE_BINDABLES: tuple[SchemaBindable, ...] = (*_COMMON, models.use_case_mutation, users.use_case_mutation)
