"""`maskdet compare`: runs on the images that they have in common."""
