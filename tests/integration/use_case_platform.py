"""Run by the old client's own Python: a full round in the words of v0.5. Prints what it saw as JSON.

    ADAPTIVE_URL=... ADAPTIVE_API_KEY=... python use_case_platform.py CONFIG

CONFIG is JSON: use_case, models (two keys), messages, run.
"""

import json
import os
import sys

from adaptive_sdk import Adaptive

config = json.loads(sys.argv[1])
first, second = config["models"]
run, use_case = config["run"], config["use_case"]
seen = {}


def tell(answer):
    return json.loads(answer.model_dump_json())


client = Adaptive(os.environ["ADAPTIVE_URL"])
seen["created"] = tell(client.use_cases.create(use_case, name="Old"))
client.set_default_use_case(use_case)
seen["listed"] = [each.key for each in client.use_cases.list()]
seen["attached"] = tell(client.models.attach(first, wait=True, make_default=True))
client.models.attach(second, wait=True)
seen["deployed"] = client.models.deploy(second, wait=True)
seen["models"] = [each.key for each in client.models.list()]
seen["described"] = tell(client.models.get(second))
seen["use_case"] = tell(client.use_cases.get(use_case))

metric = f"metric-{run}"
seen["metric"] = tell(client.feedback.register_key(metric, kind="bool"))
seen["linked"] = tell(client.feedback.link(metric))
seen["metrics"] = [each.key for each in client.feedback.list_keys()]
seen["found_metric"] = tell(client.feedback.get_key(metric))


def answer(model=None):
    options = {"messages": config["messages"], "max_tokens": 2, "labels": {"run": run}}
    return str(client.chat.create(model=model, **options).choices[0].completion_id)


one, other = answer(first), answer(second)
client.feedback.log_metric(1, one, metric)
client.feedback.log_preference(metric, one, other)
seen["interaction"] = tell(client.interactions.get(one))
wanted = {"labels": [{"key": "run", "value": [run]}]}
page = client.interactions.list(filters={**wanted, "models": [second]})
seen["filtered"] = [str(each.id) for each in page.nodes]
scored = client.interactions.list(filters={"feedbacks": [{"metric": metric, "gte": 1}]})
seen["scored"] = [str(each.id) for each in scored.nodes]
grouped = client.interactions.list(filters=wanted, group_by="model")
seen["grouped"] = [[each.key, each.count] for each in grouped.nodes]
seen["ids"] = [one, other]

test = f"test-{run}"
seen["test"] = tell(client.ab_tests.create(test, metric, [first, second]))
tested = client.chat.create(messages=config["messages"], max_tokens=1, ab_campaign=test).choices[0]
client.feedback.log_metric(0, str(tested.completion_id), metric)
seen["report"] = tell(client.ab_tests.get(test))
seen["tests"] = [each.key for each in client.ab_tests.list(active=True)]
seen["cancelled"] = client.ab_tests.cancel(test)

team = client.teams.create(f"team-{run}")
role = client.roles.create(f"role-{run}", ["project:read"])
seen["user"] = tell(client.users.create(f"{run}@example.org", "Ada", [(team.key, role.key)]))
client.users.add_to_team(f"{run}@example.org", "default", "read-only")
client.users.remove_from_team(f"{run}@example.org", "default")
seen["shared"] = tell(client.use_cases.share(use_case, team.key, role.key))
seen["users"] = [each.email for each in client.users.list()]
client.users.delete(f"{run}@example.org")
seen["me"] = client.users.me() is None
seen["permissions"] = client.permissions.list()
client.models.update(second, desired_online=False)
seen["detached"] = tell(client.models.detach(second))
seen["left"] = [each.model.key for each in client.use_cases.get(use_case).model_services]
client.close()
json.dump(seen, sys.stdout)
