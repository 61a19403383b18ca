"""Router platforms: their versions, and what each can do. Pure: needs no database."""
