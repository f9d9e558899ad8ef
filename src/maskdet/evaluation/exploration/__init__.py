"""The questions of a first look at a data set, one module a subject; every answer is a table with its numbers."""
