"""Shares: which teams a project belongs to or is open for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from adaptive_engine.wire.roles import IdOrKey


class Share(BaseModel):
    """One team of a project. Sent, both are keys or ids; answers have keys.

    Members may do what their own role and this one both permit; in a team that owns the project, what their own does.
    """

    model_config = ConfigDict(extra="forbid")

    team: IdOrKey
    role: IdOrKey
    is_owner: StrictBool = False


class SharesReplace(BaseModel):
    """PUT /api/v1/projects/{project}/shares: all teams that the project shall have."""

    model_config = ConfigDict(extra="forbid")

    shares: Annotated[list[Share], Field(max_length=1000)]


class ShareList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Share]
