"""GET /api/v1/models: what this key can address."""

from __future__ import annotations

from fastapi import APIRouter

from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.services.engines import Engines
from adaptive_engine.types import Deployment, tags_of
from adaptive_engine.wire.models import ModelCard, ModelList

router = APIRouter()


@router.get("/models")
async def list_models(services: ServicesDep, principal: PrincipalDep, project: str | None = None) -> ModelList:
    """The deployments of one project, or of all that the key may use."""
    deployments = services.routing.deployments(principal, project)
    return ModelList(data=[_card(deployment, services.engines) for deployment in deployments])


@router.get("/models/{model:path}")
async def get_model(services: ServicesDep, principal: PrincipalDep, model: str) -> ModelCard:
    """One deployment, addressed as in a request: `project/model`, or `project` for its default."""
    return _card(services.routing.deployment(principal, model, needs="project:read"), services.engines)


def _card(deployment: Deployment, engines: Engines) -> ModelCard:
    model = deployment.model
    return ModelCard(
        id=f"{deployment.project.key}/{model.key}",
        created=model.created_at // 1000,
        owned_by=model.provider,
        project=deployment.project.key,
        name=model.name,
        context_length=engines.context_length(model),
        capabilities=list(model.capabilities),
        tags=tags_of(model.capabilities),
        is_default=deployment.is_default,
        online=deployment.online and engines.online(model.key),
        settings=sorted(deployment.settings),
    )
