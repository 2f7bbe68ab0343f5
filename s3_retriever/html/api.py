"""An OpenAPI description as one page that loads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from s3_retriever.html.pages import rendered

__all__ = ["api_html"]

_REF = re.compile("'#/components/schemas/([^']+)'")


def api_html(description: Mapping[str, Any]) -> str:
    """The page of an application's paths and bodies.

    Args:
        description: OpenAPI 3 as plain values.

    Example:
        >>> page = api_html({"info": {"title": "a<b", "version": "1", "summary": ""}, "paths": {},
        ...                  "components": {"schemas": {}}})
        >>> "a&lt;b 1" in page
        True
    """
    paths = {
        path: {method: _named(operation) for method, operation in methods.items()}
        for path, methods in description["paths"].items()
    }
    return rendered("api.html", api={**description, "paths": paths})


def _named(operation: Mapping[str, Any]) -> dict[str, Any]:
    """An operation with the names of what it takes and gives."""
    good = [body for status, body in operation["responses"].items() if status.startswith("2")]
    return {
        "description": operation.get("description", operation.get("summary", "")),
        **operation,
        "bodies": _REF.findall(str(operation.get("requestBody", ""))),
        "answers": _REF.findall(str(good)),
    }
