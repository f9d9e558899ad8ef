"""The web app: a page for people, an interface for programs, both on the same predictor."""
