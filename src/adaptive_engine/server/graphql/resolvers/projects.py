"""Projects, once called use cases."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from typing import Any

from ariadne import MutationType, ObjectType, QueryType

from adaptive_engine.errors import InvalidRequest, NotFound
from adaptive_engine.server.graphql.context import Info
from adaptive_engine.services import access, metrics, shares
from adaptive_engine.services.shares import Sharing
from adaptive_engine.store import deployments
from adaptive_engine.store import shares as store
from adaptive_engine.types import Deployment, Metric, Project, Share
from adaptive_engine.wire.projects import ProjectCreate

_SETTINGS = {"defaultMetric": "default_metric", "limits": "limits"}
_LIMITS = {
    "requestsPerMinute": "requests_per_minute",
    "tokensPerMinute": "tokens_per_minute",
    "concurrentRequests": "concurrent_requests",
}

query = QueryType()
mutation = MutationType()
project = ObjectType("Project")
use_case = ObjectType("UseCase")
share = ObjectType("Share")

for either in (project, use_case):
    either.set_alias("createdAt", "created_at")
    either.set_alias("isArchived", "archived")
share.set_alias("isOwner", "is_owner")
limits = ObjectType("Limits")
for name, attribute in _LIMITS.items():
    limits.set_alias(name, attribute)


@query.field("projects")
@query.field("useCases")
async def list_projects(_: Any, info: Info, filter: dict[str, Any]) -> list[Project]:  # noqa: A002
    context = info.context
    archived = bool(filter.get("isArchived"))
    return [found for found in context.projects() if found.archived == archived]


@query.field("project")
@query.field("useCase")
async def get_project(_: Any, info: Info, idOrKey: str) -> Project | None:
    try:
        return info.context.project(idOrKey)
    except NotFound:
        return None


@mutation.field("createProject")
@mutation.field("createUseCase")
async def create_project(_: Any, info: Info, input: dict[str, Any]) -> Project:  # noqa: A002
    context = info.context
    for unknown in ("gradientColor", "metadata", "widgets"):
        if input.get(unknown):
            raise InvalidRequest(f"Projects have no {unknown} here; leave it out.", param=unknown)
    settings = {_SETTINGS[name]: value for name, value in (input.get("settings") or {}).items() if value}
    if "limits" in settings:
        settings["limits"] = {_LIMITS[name]: value for name, value in settings["limits"].items()}
    given = ProjectCreate.model_validate(
        {
            "key": input.get("key"),
            "name": input["name"],
            "description": input.get("description"),
            "team": input.get("team"),
            "settings": settings or None,
        }
    )
    return await context.services.projects.create(context.principal, given)


@mutation.field("shareProject")
@mutation.field("shareUseCase")
async def share_project(
    _: Any,
    info: Info,
    idOrKey: str,
    input: dict[str, Any],  # noqa: A002
) -> Project:
    context = info.context
    found = context.project(idOrKey)
    wanted = [Sharing(each["team"], each["role"], each["isOwner"]) for each in input["shares"]]
    await context.change_access(context.principal, shares.replace, found, wanted)
    return found


@project.field("shares")
@use_case.field("shares")
async def list_shares(found: Project, info: Info) -> list[Share]:
    return await info.context.read(store.list_for_project, found.id)


@project.field("permissions")
@use_case.field("permissions")
async def own_permissions(found: Project, info: Info) -> list[str]:
    return access.permissions_in(info.context.principal, found.id)


@project.field("metrics")
@use_case.field("metrics")
async def list_metrics(found: Project, info: Info, filter: Any = None) -> list[Metric]:  # noqa: A002
    wanted = (filter or {}).get("categories") or ("USER", "GRADER")
    uses = await info.context.read(metrics.list_for_project, found)
    return [use.metric for use in uses if use.metric.category in wanted]


@project.field("modelServices")
@use_case.field("modelServices")
async def list_model_services(
    found: Project,
    info: Info,
    filter: Any = None,  # noqa: A002
) -> list[Deployment]:
    attached = await _deployments(found, info)
    model = (filter or {}).get("model")
    return [each for each in attached if model in (None, each.model.key, str(each.model.id))]


@project.field("defaultModelService")
async def get_default_model_service(found: Project, info: Info) -> Deployment | None:
    return next((each for each in await _deployments(found, info) if each.is_default), None)


async def _deployments(found: Project, info: Info) -> Seq[Deployment]:
    return await info.context.read(deployments.list_for_project, found.id)


BINDABLES = (query, mutation, project, use_case, share, limits)
