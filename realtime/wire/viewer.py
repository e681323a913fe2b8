"""The messages of the viewer's own routes; all others are those of the records service."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class MontageFileItem(BaseModel):
    """A montage of a file, to be asked for as ``montage=custom`` with these derivations."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    derive: tuple[str, ...]


class MontagesAnswer(BaseModel):
    """What the files of montages hold, and what is wrong with them."""

    model_config = ConfigDict(frozen=True)

    montages: tuple[MontageFileItem, ...]
    problems: tuple[str, ...]


class HealthAnswer(BaseModel):
    """Whether the viewer runs."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ok"]


class SessionAnswer(BaseModel):
    """Whether a person is signed in, and has to be."""

    model_config = ConfigDict(frozen=True)

    signed_in: bool
    required: bool
