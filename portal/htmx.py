"""HTMX requests: their type, and responses that are a block of the full page."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import RequestContext, Template, loader
from django.template.base import Node
from django.template.loader_tags import BlockNode
from django_htmx.middleware import HtmxDetails


class HtmxRequest(HttpRequest):
    """A request that passed django-htmx's middleware."""

    htmx: HtmxDetails


def render_fragment(request: HttpRequest, template: str, block: str, context: dict[str, Any]) -> HttpResponse:
    """Return one `{% block %}` of a page's template. Raises LookupError if the template has none of that name."""
    compiled = cast("Template", loader.get_template(template).template)  # type: ignore[attr-defined]
    node = _find_block(compiled, block)
    values = RequestContext(request, context)
    with values.render_context.push_state(compiled), values.bind_template(compiled):
        return HttpResponse(node.render(values))


def render_page(request: HttpRequest, template: str, context: dict[str, Any], *, fragment: str = "") -> HttpResponse:
    """Return a page, or only its block `fragment` if HTMX replaces just that.

    HTMX gets the whole page for a form; only a target named like the block (`hx-target="#fragment"`) gets the block.
    """
    target = cast("HtmxRequest", request).htmx.target
    response = (
        render_fragment(request, template, fragment, context)
        if fragment and target == fragment
        else render(request, template, context)
    )
    response["Vary"] = "HX-Request, HX-Target"
    return response


def _find_block(template: Template, name: str) -> Node:
    for node in template.nodelist.get_nodes_by_type(BlockNode):
        if cast("BlockNode", node).name == name:
            return node
    raise LookupError(f"{template.name} has no block {name!r}")
