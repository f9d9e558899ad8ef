"""`maskdet evaluate`: a model on a set that is not the project's, with its own classes, labelled or not."""
