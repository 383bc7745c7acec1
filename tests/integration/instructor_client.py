"""Run by a Python of its own that has instructor: extracts a model. Prints what it saw as JSON."""

import json
import os
import sys
from importlib.metadata import version
from typing import Literal

import instructor
import openai
from pydantic import BaseModel, Field


class Address(BaseModel):
    street: str = Field(max_length=30)
    city: str = Field(max_length=20)


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=150)
    mood: Literal["good", "bad"]
    address: Address


client = openai.OpenAI(
    base_url=os.environ["ADAPTIVE_URL"] + "/api/v1", api_key=os.environ["ADAPTIVE_API_KEY"], max_retries=0
)
messages = [{"role": "user", "content": "Ann is 30, in a good mood, and lives at 1 Main Street in Paris."}]
seen = {"version": version("instructor")}
extract = instructor.from_openai(client, mode=instructor.Mode.JSON_SCHEMA).chat.completions.create
person = extract(
    model="default", messages=messages, response_model=Person, max_tokens=200, temperature=0, max_retries=0
)
seen["person"] = person.model_dump()
sys.stdout.write(json.dumps(seen))
