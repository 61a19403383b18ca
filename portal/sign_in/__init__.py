"""How accounts come about and are signed in to, and what stops password guessing."""
