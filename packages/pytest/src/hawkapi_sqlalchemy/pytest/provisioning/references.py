"""Objects of an application, named in the configuration as `package.module:attribute`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from operator import attrgetter
from typing import Any

from sqlalchemy import MetaData

from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError

__all__ = ["known_metadata", "load", "load_metadata", "metadata_of", "place_of"]

_BASES = "hawkapi_sqlalchemy.mixins.base"


def load(reference: str, *, key: str) -> Any:
    """Import what a reference names.

    Args:
        reference: `package.module:attribute.path`.
        key: Where it was configured, for messages.

    Raises:
        ProvisioningError: It leads nowhere, or its module cannot be imported.
    """
    module_name, _, path = reference.partition(":")
    if not module_name or not path:
        raise ProvisioningError(
            f"{key} is {reference!r}, which names no object",
            "write it as package.module:attribute, for instance shop.models:Base.metadata",
        )
    try:
        module = import_module(module_name)
    except Exception as error:
        # Whatever it raises: what the module is at fault for, its author wants to read.
        where = "" if isinstance(error, ModuleNotFoundError) else f", {place_of(error)}"
        raise ProvisioningError(
            f"{key} is {reference!r}, but importing {module_name!r} failed: "
            f"{type(error).__name__}: {error}{where}",
            "correct the name, or add the folder of the package to `pythonpath` in pytest's "
            "configuration",
        ) from error
    try:
        return attrgetter(path)(module)
    except AttributeError as error:
        raise ProvisioningError(
            f"{key} is {reference!r}, but {error}", f"correct {key} in pytest's configuration"
        ) from error


def place_of(error: BaseException) -> str:
    """Tell where an error was raised, as `at file:line`."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return f"at {last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else "somewhere"


def load_metadata(references: Sequence[str]) -> list[MetaData]:
    """Import the metadata that references name.

    Args:
        references: Each leads to a `MetaData`, or to something with an attribute `metadata`, such
            as a declarative base.

    Raises:
        ProvisioningError: One leads nowhere, or to something else.
    """
    return [
        _metadata(load(reference, key="hawkapi_metadata"), shown=repr(reference))
        for reference in references
    ]


def metadata_of(value: Any) -> list[MetaData]:
    """Answer the metadata of what a fixture `hawkapi_metadata` answers.

    Args:
        value: A `MetaData`, something that has one, or several of these.

    Raises:
        ProvisioningError: It is something else.
    """
    several: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value]  # pyright: ignore[reportUnknownArgumentType]  # a project's
    return [_metadata(each, shown="the fixture's answer") for each in several]


def _metadata(value: Any, *, shown: str) -> MetaData:
    metadata = value if isinstance(value, MetaData) else getattr(value, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise ProvisioningError(
            f"hawkapi_metadata is {shown}, a {type(value).__name__}, which is no MetaData and has "
            "none",
            "name a MetaData or a declarative base, for instance shop.models:Base.metadata",
        )
    return metadata


def known_metadata() -> list[MetaData]:
    """Answer the metadata of our own bases, as far as models were made of them.

    Raises:
        ProvisioningError: No model was imported that is made of one.
    """
    bases = sys.modules.get(_BASES)
    candidates = (bases.Base.metadata, bases.DataclassBase.metadata) if bases is not None else ()
    found = [metadata for metadata in candidates if metadata.tables]
    if not found:
        raise ProvisioningError(
            "no models are known: no module was imported with a model of hawkapi_sqlalchemy's Base "
            "or DataclassBase",
            "name the models' metadata in pytest's configuration, for instance "
            "`hawkapi_metadata = shop.models:Base.metadata`, or import them where the tests do not "
            "run yet: at the top of their modules",
        )
    return found
