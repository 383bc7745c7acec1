"""A/B tests, which the schema calls campaigns."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ariadne import MutationType, ObjectType, QueryType

from adaptive_engine.errors import NotFound
from adaptive_engine.server.graphql.context import Context, Info
from adaptive_engine.server.graphql.fields import project_name, read_from
from adaptive_engine.server.graphql.resolvers.metrics import MetricSource, load
from adaptive_engine.services import ab_tests
from adaptive_engine.services.ab_tests import AbTestOverview, NewAbTest
from adaptive_engine.store import Connection, deployments
from adaptive_engine.store import ab_tests as store
from adaptive_engine.types import AbTest, AbTestArm, Project
from adaptive_engine.wire.ab_tests import AbTestCreate

query = QueryType()
mutation = MutationType()
campaign = ObjectType("Abcampaign")

_OF_TEST = {
    "id": "id",
    "key": "key",
    "name": "name",
    "status": "status",
    "autoDeploy": "auto_deploy",
    "scoreType": "score_type",
    "feedbackType": "score_type",
    "trafficSplit": "traffic_split",
    "beginDate": "begun_at",
    "endDate": "ended_at",
    "createdAt": "created_at",
}


for field, attribute in _OF_TEST.items():
    campaign.set_field(field, read_from(f"test.{attribute}"))
campaign.set_alias("feedbacks", "scores")
campaign.set_alias("useCase", "project")


@query.field("abCampaigns")
async def list_campaigns(_: Any, info: Info, filter: dict[str, Any]) -> list[AbTestOverview]:  # noqa: A002
    context = info.context
    projects = {each.id: each for each in context.projects(filter.get("project") or filter.get("useCase") or None)}

    def read(connection: Connection) -> list[AbTestOverview]:
        found = store.list_for_projects(
            connection, list(projects), active=filter.get("active"), status=filter.get("status")
        )
        return [_described(context, connection, projects[test.project_id], test) for test in found]

    return await context.read(read)


@query.field("abCampaign")
async def get_campaign(_: Any, info: Info, idOrKey: str) -> AbTestOverview | None:
    context = info.context
    projects = {each.id: each for each in context.projects()}

    def read(connection: Connection) -> AbTestOverview | None:
        try:
            test = ab_tests.find(connection, list(projects), idOrKey)
        except NotFound:
            return None
        return _described(context, connection, projects[test.project_id], test)

    return await context.read(read)


@mutation.field("createAbCampaign")
async def create_campaign(_: Any, info: Info, input: dict[str, Any]) -> AbTestOverview:  # noqa: A002
    context = info.context
    project = context.project(project_name(input), needs="ab_test:manage")
    given = AbTestCreate.model_validate(
        {
            "project": project.key,
            "key": input["key"],
            "name": input.get("name"),
            "metric": input["metric"],
            "models": input["modelServices"],
            "traffic_split": input["trafficSplit"],
            "auto_deploy": input["autoDeploy"],
            "score_type": input.get("feedbackType") or input["scoreType"],
        }
    )
    wanted = NewAbTest(**given.model_dump(exclude={"project"}, exclude_none=True))

    def write(connection: Connection) -> AbTestOverview:
        return _described(context, connection, project, ab_tests.create(connection, project, wanted))

    return await context.change_routing(write)


@mutation.field("cancelAbCampaign")
async def cancel_campaign(_: Any, info: Info, input: str) -> str:  # noqa: A002
    context = info.context
    projects = [each.id for each in context.projects()]

    def write(connection: Connection) -> str:
        test = ab_tests.find(connection, projects, input)
        context.project(str(test.project_id), needs="ab_test:manage")
        return ab_tests.cancel(connection, test).key

    key = await context.change_routing(write)
    return f"A/B test '{key}' is cancelled."


@campaign.field("metric")
async def campaign_metric(found: AbTestOverview, info: Info) -> MetricSource | None:
    if found.metric is None:
        return None
    return await load(info.context, found.metric.id)


@campaign.field("hasEnoughScores")
@campaign.field("hasEnoughFeedbacks")
async def campaign_has_enough(found: AbTestOverview, _: Info) -> bool:
    return found.report.has_enough_scores


@campaign.field("models")
async def campaign_models(found: AbTestOverview, info: Info) -> list[Any]:
    return list((await _services(info.context, found)).values())


@campaign.field("report")
async def campaign_report(found: AbTestOverview, info: Info) -> dict[str, Any]:
    services = await _services(info.context, found)
    return {
        "pValue": found.report.p_value,
        "variants": [
            {
                "variant": services[arm.model_id],
                "interval": arm.interval and arm.interval._asdict(),
                "mean": arm.mean,
                "scores": arm.scores,
                "feedbacks": arm.scores,
                "comparisons": None
                if arm.comparisons is None
                else [
                    {
                        "variant": services[pair.other_id],
                        "scores": pair.scores,
                        "feedbacks": pair.scores,
                        "wins": pair.wins,
                        "losses": pair.losses,
                        "tiesGood": pair.ties_good,
                        "tiesBad": pair.ties_bad,
                    }
                    for pair in arm.comparisons
                ],
            }
            for arm in found.report.arms
        ],
    }


async def _services(context: Context, found: AbTestOverview) -> dict[UUID, Any]:
    """The arms as model services. One that was detached since has what the test remembers of it."""
    attached = await context.read(deployments.list_for_project, found.project.id)
    by_model: dict[UUID, Any] = {each.model.id: each for each in attached}
    return {arm.model_id: by_model.get(arm.model_id) or await _detached(context, arm) for arm in found.test.arms}


async def _detached(context: Context, arm: AbTestArm) -> dict[str, Any]:
    model = await context.models.load(arm.model_id)
    return {
        "id": arm.model_id,
        "key": arm.model_key,
        "name": arm.model_key,
        "model": model,
        "isDefault": False,
        "desiredOnline": False,
        "attached": False,
        "createdAt": model.created_at if model else 0,
    }


def _described(context: Context, connection: Connection, project: Project, test: AbTest) -> AbTestOverview:
    return ab_tests.describe(connection, project, test, context.services.engines.answers)


BINDABLES = (query, mutation, campaign)
