"""The web server: uvicorn, which reads requests without a thread, with additional limits."""
