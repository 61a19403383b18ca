"""How the API speaks, whatever the resource: authentication, errors, paging, ETags, idempotency."""
