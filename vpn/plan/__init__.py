"""What a change means, worked out from specs: who reaches whom before it and after it."""
