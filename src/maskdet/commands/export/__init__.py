"""`maskdet export`: a detector as files that run elsewhere, each compared with torch."""
