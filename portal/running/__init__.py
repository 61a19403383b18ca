"""How the portal's processes run on one machine: `make up` and `make down`.

Standard library only, so that it works before the database, the keys or the settings exist.
"""
