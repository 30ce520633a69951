"""Role-based access on top of object permissions; nobody else asks guardian."""
