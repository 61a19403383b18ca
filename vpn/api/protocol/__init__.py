"""The API's protocol, the same for every resource: authentication, errors, paging, ETags, idempotency."""
