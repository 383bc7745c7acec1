"""The application: routes, middleware and error handling, put together."""

from __future__ import annotations

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp

from adaptive_engine import __version__
from adaptive_engine.server import errors, health, openapi, telemetry
from adaptive_engine.server.api import (
    ab_tests,
    deployments,
    exports,
    external_models,
    feedback,
    graders,
    images,
    imports,
    interaction_search,
    interactions,
    keys,
    labels,
    metrics,
    projects,
    roles,
    shares,
    sign_in,
    structured,
    teams,
    traffic,
    usage,
    users,
)
from adaptive_engine.server.api import models as admin_models
from adaptive_engine.server.body_limit import BodyLimit
from adaptive_engine.server.browser import AllowedHosts
from adaptive_engine.server.context import Services
from adaptive_engine.server.direct import Direct
from adaptive_engine.server.graphql import route as graphql
from adaptive_engine.server.middleware import Authentication, PathSpelling, RequestContext
from adaptive_engine.server.openai import chat, models
from adaptive_engine.server.web import WebApplication

API_PREFIX = "/api/v1"
# Tells the API description about keys; the Authentication middleware is what checks them.
_BEARER = HTTPBearer(auto_error=False, description="An API key from `adaptive keys create`.")


def create_app(services: Services) -> ASGIApp:
    """The ASGI application of one server."""
    app = create_api()
    app.state.services = services
    settings = services.settings.server
    hosts = AllowedHosts(settings)
    # From the inside out: a request meets them in the opposite order.
    guarded: ASGIApp = Direct(app, services, {("POST", f"{API_PREFIX}/chat/completions"): chat.create_chat_completion})
    guarded = BodyLimit(guarded, services.settings)
    guarded = Authentication(guarded, services, hosts)
    return RequestContext(PathSpelling(WebApplication(guarded, hosts)), services)


def create_api() -> FastAPI:
    """The routes."""
    app = FastAPI(
        title="Adaptive Engine",
        version=__version__,
        summary="Chat completions from models that run here; every answer is stored.",
        # Their pages load scripts from a foreign host.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    errors.install(app)
    openapi.install(app)
    app.include_router(health.router, tags=["health"])
    app.include_router(telemetry.router, tags=["health"], dependencies=[Security(_BEARER)])
    for router, tag in (
        (chat.router, "chat"),
        (models.router, "models"),
        (admin_models.router, "models"),
        (external_models.router, "models"),
        (imports.router, "models"),
        (projects.router, "projects"),
        (deployments.router, "models"),
        (usage.router, "projects"),
        (traffic.router, "projects"),
        (deployments.admin_router, "models"),
        # Before the others of this noun: its path would be taken for an id.
        (exports.router, "interactions"),
        (interaction_search.router, "interactions"),
        (interactions.router, "interactions"),
        (images.router, "interactions"),
        (labels.router, "interactions"),
        (metrics.router, "metrics"),
        (feedback.router, "feedback"),
        (graders.router, "graders"),
        (ab_tests.router, "A/B tests"),
        (structured.router, "structured output"),
        (users.router, "users"),
        (teams.router, "teams"),
        (roles.router, "roles"),
        (shares.router, "projects"),
        (keys.router, "keys"),
        (sign_in.router, "keys"),
    ):
        app.include_router(router, prefix=API_PREFIX, tags=[tag], dependencies=[Security(_BEARER)])
    # The vendor's place for them, which interactions name.
    app.include_router(images.router, include_in_schema=False, dependencies=[Security(_BEARER)])
    app.include_router(graphql.router, prefix="/api", tags=["GraphQL"], dependencies=[Security(_BEARER)])
    return app
