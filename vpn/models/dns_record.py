"""DNS records that an admin adds to a hub."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from vpn.choices import RecordType, RevisedSection
from vpn.models.instance import Instance
from vpn.models.revised import RevisedModel, RevisedQuerySet


class DnsRecord(RevisedModel):
    """One record. `name` and a CNAME's `value` are full names in lower case, without the final dot."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="dns_records")
    name = models.CharField(max_length=253)
    type = models.CharField(max_length=5, choices=RecordType.choices)
    value = models.CharField(max_length=253)

    section = RevisedSection.RECORDS
    objects = RevisedQuerySet["DnsRecord"].as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["name", "type", "value"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instance", "name", "type", "value"], name="dns_record_once")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.type} {self.value}"
