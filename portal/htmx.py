"""Requests by HTMX: their type, and answering with a block of the very page that a full request would get."""

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
    """Answer with one `{% block %}` of a page's own template. Raises LookupError where the template has none."""
    compiled = cast("Template", loader.get_template(template).template)  # type: ignore[attr-defined]
    node = _find_block(compiled, block)
    values = RequestContext(request, context)
    with values.render_context.push_state(compiled), values.bind_template(compiled):
        return HttpResponse(node.render(values))


def render_page(request: HttpRequest, template: str, context: dict[str, Any], *, fragment: str = "") -> HttpResponse:
    """Answer with a page, or with its block `fragment` where HTMX asks to replace just that.

    A form's answer to HTMX is a whole page still: only the region named like the block (`hx-target="#fragment"`)
    asks for less.
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
