from __future__ import annotations

import dataclasses
import enum
import json
import time
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, Json, RootModel, TypeAdapter, create_model
from typing_extensions import TypedDict

from adaptive_engine.sdk.schemas import MAX_INLINED_LENGTH, json_schema, response_format_body
from adaptive_engine.wire.chat import ChatRequest
from unit.sdk.both import result
from unit.sdk.scripted import ScriptedServer, answer

HELLO = [{"role": "user", "content": "Hello!"}]
T = TypeVar("T")


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Street(BaseModel):
    """Where a house is."""

    name: str = Field(description="Without the number", max_length=40)


class House(BaseModel):
    street: Street = Field(description="The front door's")
    back: Street | None = None
    colour: Colour = Colour.RED


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Node(BaseModel):
    street: Street
    children: list[Node] = []


class Tree(BaseModel):
    root: Node = Field(description="On top")


class Ping(BaseModel):
    pong: Pong | None = None


class Pong(BaseModel):
    ping: Ping | None = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int


class Numbers(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]


class Box(BaseModel, Generic[T]):
    content: T


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict, total=False):
    title: str


STREET = {
    "type": "object",
    "title": "Street",
    "description": "Where a house is.",
    "properties": {
        "name": {"type": "string", "title": "Name", "description": "Without the number", "maxLength": 40},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def closed(properties: dict[str, Any], title: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "title": title, "properties": properties, "additionalProperties": False, **more}


def fields(kind: Any) -> dict[str, Any]:
    schema = json_schema(kind)
    assert "$defs" not in schema
    properties: dict[str, Any] = schema["properties"]
    return properties


def test_references_are_replaced_and_objects_closed() -> None:
    assert json_schema(House) == closed(
        {
            "street": {**STREET, "description": "The front door's"},
            "back": {"anyOf": [STREET, {"type": "null"}], "default": None},
            "colour": {"type": "string", "title": "Colour", "enum": ["red", "blue"], "default": "red"},
        },
        "House",
        required=["street"],
    )


def test_unions() -> None:
    class Owner(BaseModel):
        told: Annotated[Cat | Dog, Field(discriminator="kind")]
        other: list[Cat | Dog | int]
        pair: tuple[Cat, Dog]

    cat, dog = (
        closed({"kind": {"type": "string", "const": kind, "title": "Kind"}}, title, required=["kind"])
        for kind, title in (("cat", "Cat"), ("dog", "Dog"))
    )
    owner = fields(Owner)
    assert owner["told"] == {"title": "Told", "oneOf": [cat, dog]}
    assert owner["other"]["items"] == {"anyOf": [cat, dog, {"type": "integer"}]}
    assert owner["pair"]["prefixItems"] == [cat, dog]


def test_dicts_take_any_key() -> None:
    class Register(BaseModel):
        anything: dict[str, Any]
        plain: dict  # type: ignore[type-arg]
        numbers: dict[str, int]
        houses: dict[Colour, Street]
        matching: dict[Annotated[str, Field(pattern="^a")], Street]
        text: Json[Street]

    register = fields(Register)
    assert register["anything"]["additionalProperties"] is True
    assert register["plain"]["additionalProperties"] is True
    assert register["numbers"]["additionalProperties"] == {"type": "integer"}
    assert register["houses"]["additionalProperties"] == STREET
    assert register["houses"]["propertyNames"]["enum"] == ["red", "blue"]
    assert register["matching"]["patternProperties"] == {"^a": STREET}
    assert register["matching"]["additionalProperties"] is False
    assert register["text"]["contentSchema"] == STREET


def test_extra_keys_are_for_classes_that_ask_for_them() -> None:
    assert json_schema(Open)["additionalProperties"] is True
    assert json_schema(Numbers)["additionalProperties"] == {"type": "integer"}
    assert json_schema(create_model("Empty"))["additionalProperties"] is False
    assert json_schema(create_model("Outer", inner=Open))["properties"]["inner"]["additionalProperties"] is True


def test_aliases_are_the_names_that_validation_takes() -> None:
    class Aliased(BaseModel):
        a: int = Field(alias="first")
        b: int = Field(validation_alias="second", serialization_alias="ignored")

    assert json_schema(Aliased)["required"] == ["first", "second"]


def test_fields_may_be_called_like_keywords() -> None:
    class Keywords(BaseModel):
        default: Street
        properties: Street
        items: list[Street]
        discriminator: Street
        ref: Street = Field(alias="$ref")

    keywords = fields(Keywords)
    assert keywords["items"]["items"] == STREET
    assert all(keywords[name] == STREET for name in ("default", "properties", "discriminator", "$ref"))


def test_values_are_left_alone() -> None:
    value = {"type": "object", "properties": {}, "discriminator": 1}

    class Valued(BaseModel):
        field: dict[str, Any] = Field(default=value, examples=[value])
        street: Street

    schema = json_schema(Valued)["properties"]["field"]
    assert (schema["default"], schema["examples"]) == (value, [value])


def test_recursive_definitions_stay_apart() -> None:
    node = closed(
        {
            "street": STREET,
            "children": {"type": "array", "title": "Children", "items": {"$ref": "#/$defs/Node"}, "default": []},
        },
        "Node",
        required=["street"],
    )
    assert json_schema(Node) == {**node, "$defs": {"Node": node}}
    root = {"$ref": "#/$defs/Node", "description": "On top"}
    assert json_schema(Tree) == closed({"root": root}, "Tree", required=["root"], **{"$defs": {"Node": node}})
    assert json_schema(list[Tree])["$defs"] == {"Node": node}


def test_recursion_in_a_circle() -> None:
    Ping.model_rebuild()
    schema = json_schema(Ping)
    assert list(schema["$defs"]) == ["Ping", "Pong"]
    assert schema["properties"]["pong"]["anyOf"][0] == {"$ref": "#/$defs/Pong"}
    assert all(definition["additionalProperties"] is False for definition in schema["$defs"].values())


def test_copies_do_not_multiply_without_limit() -> None:
    kind = create_model("Level0", x=(int, ...))
    for level in range(1, 60):
        kind = create_model(f"Level{level}", left=(kind, ...), right=(kind, ...))
    start = time.thread_time()
    schema = json_schema(kind)
    assert time.thread_time() - start < 2
    assert len(json.dumps(schema)) < MAX_INLINED_LENGTH
    assert schema["properties"]["left"] == {"$ref": "#/$defs/Level58"}
    assert all(schema["$defs"][f"Level{level}"]["additionalProperties"] is False for level in range(59))


def test_what_stands_beside_a_reference_is_not_lost() -> None:
    def bound(schema: dict[str, Any]) -> None:
        schema["maxLength"] = 3

    class Short(RootModel[Annotated[str, Field(max_length=9)]]):
        pass

    class Holder(BaseModel):
        bounded: Short = Field(json_schema_extra=bound)
        free: Short

    schema = json_schema(Holder)
    assert schema["properties"]["bounded"] == {"$ref": "#/$defs/Short", "maxLength": 3}
    assert schema["properties"]["free"]["maxLength"] == 9
    assert schema["$defs"]["Short"]["maxLength"] == 9


def test_keywords_that_were_added_by_hand_are_left_alone() -> None:
    class Handmade(BaseModel):
        model_config = ConfigDict(json_schema_extra={"not": {"type": "object", "required": ["y"]}})
        x: Decimal

    assert json_schema(Handmade)["not"] == {"type": "object", "required": ["y"]}


def test_the_class_is_not_changed_and_equal_classes_give_equal_text() -> None:
    before = json.dumps(House.model_json_schema())
    assert json.dumps(json_schema(House)) == json.dumps(json_schema(House))
    assert json.dumps(House.model_json_schema()) == before


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (Street, "Street", STREET),
        (Box[int], "Box_int", None),
        (Box[list[Street]], "Box_list_Street", None),
        (create_model("Größe"), "Gr_e", None),
        (create_model("大"), "answer", None),
        (create_model("x" * 80), "x" * 64, None),
        (list[Street], "list_Street", {"type": "array", "items": STREET}),
        (Street | None, "Street_None", {"anyOf": [STREET, {"type": "null"}]}),
        (Literal["a", "b"], "Literal_a_b", {"type": "string", "enum": ["a", "b"]}),
        (TypeAdapter(list[Street]), "answer", {"type": "array", "items": STREET}),
        (TypeAdapter(Street), "Street", STREET),
        (RootModel[list[int]], "RootModel_list_int", None),
        (Movie, "Movie", closed({"title": {"type": "string", "title": "Title"}}, "Movie")),
        (Colour, "Colour", None),
        (int, "int", {"type": "integer"}),
        (
            Point,
            "Point",
            closed(
                {"x": {"type": "integer", "title": "X"}, "y": {"type": "integer", "title": "Y", "default": 0}},
                "Point",
                required=["x"],
            ),
        ),
    ],
)
async def test_types_on_the_wire(
    server: ScriptedServer, client, kind: Any, name: str, expected: dict[str, Any] | None
) -> None:
    server.replies(answer())
    await result(client.chat.create(HELLO, response_format=kind))
    sent = server.last.body["response_format"]
    assert sent == {"type": "json_schema", "json_schema": {"name": name, "schema": expected or json_schema(kind)}}
    assert not ChatRequest.model_validate_json(json.dumps(server.last.body)).model_extra


ENVELOPE = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "description": "d"}}


@pytest.mark.parametrize("envelope", [ENVELOPE, {"type": "text"}, {"type": "json_object"}])
async def test_the_wires_dict_is_sent_as_it_is(server: ScriptedServer, client, envelope: dict[str, Any]) -> None:
    server.replies(answer())
    await result(client.chat.create(HELLO, response_format=envelope))
    assert server.last.body["response_format"] == envelope


def test_options_of_a_schema() -> None:
    assert response_format_body(ENVELOPE, strict=True, complete=True) == {
        "type": "json_schema",
        "json_schema": {**ENVELOPE["json_schema"], "strict": True, "complete": True},  # type: ignore[dict-item]
    }
    assert "strict" not in ENVELOPE["json_schema"]
    body = response_format_body(Street, strict=False)
    assert body == {"type": "json_schema", "json_schema": {"name": "Street", "schema": STREET, "strict": False}}


@pytest.mark.parametrize("response_format", [None, {"type": "json_object"}, {"type": "text"}])
@pytest.mark.parametrize("option", ["strict", "complete"])
async def test_options_need_a_schema(server: ScriptedServer, client, response_format: Any, option: str) -> None:
    with pytest.raises(ValueError, match=option):
        await result(client.chat.create(HELLO, response_format=response_format, **{option: True}))
    assert server.received == []


@pytest.mark.parametrize("schema", [STREET, {}, {"type": "json"}, {"$ref": "#/$defs/X"}])
async def test_a_bare_schema_is_refused(server: ScriptedServer, client, schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'Wrap a JSON Schema: \{"type": "json_schema"'):
        await result(client.chat.create(HELLO, response_format=schema))
    assert server.received == []


class Undefined(BaseModel):
    x: Missing  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize("wrong", [3, "Street", Cat(kind="cat"), type, object(), Undefined, list["Missing"]])  # type: ignore[name-defined] # noqa: F821
async def test_what_is_no_type_is_refused(server: ScriptedServer, client, wrong: Any) -> None:
    with pytest.raises(ValueError, match="response_format is"):
        await result(client.chat.create(HELLO, response_format=wrong))
    assert server.received == []
