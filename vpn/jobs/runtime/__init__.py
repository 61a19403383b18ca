"""The processes that run jobs: workers, the schedule, and their heartbeats."""
