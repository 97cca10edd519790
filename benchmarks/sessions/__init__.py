"""Server-side sessions beside those of Flask-Session, Django and starsessions: traffic, CPU time, and what gets lost."""
