"""Reachability between peers, computed from rules, routes and addresses only, without the database."""
