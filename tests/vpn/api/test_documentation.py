"""The OpenAPI document, and the page that shows it."""

from __future__ import annotations

import json
import re

from django.contrib.staticfiles import finders
from django.test import Client


def test_the_document_is_public_and_whole(client: Client, db: None) -> None:
    response = client.get("/api/v1/openapi.json")
    assert response.status_code == 200
    document = json.loads(response.content)
    assert len(document["paths"]) == 41
    post = document["paths"]["/api/v1/vpn/instances"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"]["required"] == ["name", "hostname", "region"]
    assert {parameter["name"] for parameter in post["parameters"]} == {"Idempotency-Key"}
    assert set(post["responses"]) >= {"201", "400", "401", "403", "409", "413", "415", "422", "429"}
    assert "$defs" not in response.content.decode()
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert operation["description"]
            assert operation["security"]


def test_the_page_loads_nothing_from_elsewhere(client: Client, db: None) -> None:
    response = client.get("/api/v1/docs")
    assert response.status_code == 200
    text = response.content.decode()
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert sources
    for source in sources:
        assert source.startswith("/static/ninja/")
        assert finders.find(source.removeprefix("/static/"))
    for attributes, body in re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL):
        assert 'type="application/json"' in attributes or not body.strip()
    assert "<style" not in text
    assert '"validatorUrl": null' in text
    assert "script-src 'self'" in response["Content-Security-Policy"]
