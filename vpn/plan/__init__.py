"""What a change means, computed from specs: who reaches whom before and after it."""
