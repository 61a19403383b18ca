"""The API's resources: one file for each."""
