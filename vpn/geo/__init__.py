"""Where regions and sites are: distances, expected round trips, the suggested region, place names, the map."""
