"""Answers, for the frameworks that encode msgspec's structs."""

from typing import Any

import msgspec


class ItemOut(msgspec.Struct):
    """One row."""

    id: int
    name: str
    quantity: int
    note: str


class PairOut(msgspec.Struct):
    """Two rows, each found by a dependency of its own."""

    first: ItemOut
    second: ItemOut


class EntryOut(msgspec.Struct):
    """The key of a row that was inserted."""

    id: int


class NothingOut(msgspec.Struct):
    """The answer that needs no database."""

    ok: bool


def item_out(item: Any) -> ItemOut:
    """Copy a row."""
    return ItemOut(item.id, item.name, item.quantity, item.note)
