"""The web server: uvicorn, which reads requests without a thread, with the limits that it has no settings for."""
