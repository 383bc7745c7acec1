"""Run by the old client's own Python: a conversation in the words of v0.5. Prints what it saw as JSON.

    ADAPTIVE_URL=... ADAPTIVE_API_KEY=... python use_case_client.py CONFIG

CONFIG is JSON: use_case, model, messages, metric, run.
"""

import asyncio
import json
import os
import sys
from importlib.metadata import version

from adaptive_sdk import Adaptive, AsyncAdaptive

config = json.loads(sys.argv[1])
url = os.environ["ADAPTIVE_URL"]
greedy = {"messages": config["messages"], "max_tokens": 6, "temperature": 0}
seen = {"version": version("adaptive-sdk")}


def tell(answer):
    return json.loads(answer.model_dump_json())


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content for chunk in chunks if chunk.choices)


async def asynchronously():
    client = AsyncAdaptive(url)
    client.set_default_use_case(config["use_case"])
    whole = await client.chat.create(**greedy)
    stream = await client.chat.create(**greedy, stream=True)
    read = text_of([chunk async for chunk in stream])
    await client.close()
    return [whole.choices[0].message.content, read]


client = Adaptive(url + "///")
place = {"use_case": config["use_case"], "model": config["model"]}
seen["documented"] = tell(client.chat.create(**place, **greedy, labels=config["labels"]))
seen["default_model"] = tell(client.chat.create(use_case=config["use_case"], messages=config["messages"], max_tokens=1))
seen["slash"] = tell(client.chat.create(**{**place, "model": ""}, messages=config["messages"], max_tokens=1))
seen["two"] = tell(client.chat.create(**place, messages=config["messages"], max_tokens=3, temperature=1.2, n=2))
chunks = list(client.chat.create(**place, **greedy, stream=True, stream_include_usage=True))
seen["streamed"] = {"text": text_of(chunks), "last": tell(chunks[-1]), "first": tell(chunks[0])}
completion_id = seen["documented"]["choices"][0]["completion_id"]
seen["feedback"] = tell(client.feedback.log_metric(0.75, completion_id, config["metric"], details="from v0.5"))
client.set_default_use_case("nowhere")
try:
    client.chat.create(messages=config["messages"])
except Exception as error:
    seen["error"] = str(error)
client.close()
seen["async"] = asyncio.run(asynchronously())

del os.environ["ADAPTIVE_API_KEY"]
try:
    Adaptive(url)
except ValueError as error:
    seen["no_key"] = str(error)
json.dump(seen, sys.stdout)
