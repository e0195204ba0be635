"""What lets one mixin serve plain and dataclass-style models alike."""

from typing import Any


class DataclassReady:
    """The `__dataclass_fields__` of a mixin that is no dataclass itself.

    SQLAlchemy takes a dataclass-style model's columns only from classes that
    have this attribute in their own namespace (2.0 warns, 2.1 raises). Yet a
    mixin that is a real dataclass turns plain models into dataclasses as well.
    So the attribute is there, and reads as if the mixin were left out.
    """

    def __set_name__(self, owner: type[object], name: str) -> None:
        self._owner = owner
        self._name = name

    def __get__(self, instance: object | None, owner: type[object]) -> Any:
        without_mixin: Any = super(self._owner, owner)
        return getattr(without_mixin, self._name)


def is_dataclass_model(model: type[Any]) -> bool:
    """Say whether SQLAlchemy makes `model` a dataclass.

    The attribute is set by `MappedAsDataclass` and by the
    `mapped_as_dataclass` decorator, before the columns are collected.
    """
    return hasattr(model, "_sa_apply_dc_transforms")


def dataclass_options(model: type[Any]) -> dict[str, Any]:
    """Return the options of a mixin's column that plain models do not accept."""
    return {"init": False} if is_dataclass_model(model) else {}
