"""Who reaches whom, from rules, routes and addresses alone: no rows, no database."""
