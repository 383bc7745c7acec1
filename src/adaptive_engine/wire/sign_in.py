"""Signing in: what a browser gets for an API key."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class SignIn(BaseModel):
    """POST /api/v1/sign_in. The token itself is in the cookie."""

    object: Literal["sign_in"] = "sign_in"
    key: str
    """The id of the API key that it stands for."""
    expires_at: datetime
