"""Who may see and set what holds a scope back: limits and pauses."""

from __future__ import annotations

from typing import cast

from redrive.api.access import Access
from redrive.api.validation import invalid_field
from redrive.core.errors import InvalidDocument
from redrive.core.restraints import Scope, check_key, group_of


def require_scope(access: Access, scope: Scope, key: str) -> None:
    """Refuse a scope that the key does not open, or that no task can be under.

    A scope that reaches beyond one group needs a key for the whole namespace.

    Raises:
        Refusal: It is one.
    """
    try:
        check_key(scope, key)
    except InvalidDocument as error:
        raise invalid_field(error.path, error.problem) from None
    group = group_of(scope, key)
    if group is None:
        access.require_namespace()
    else:
        access.require_group(group)


def sees_scope(access: Access, scope: str, key: str) -> bool:
    """Tell whether a scope concerns the groups that the key opens. A pause of the namespace concerns all."""
    group = group_of(cast("Scope", scope), key)
    if group is not None:
        return access.sees(group)
    return scope == "namespace" or access.scope.allows(access.namespace)
