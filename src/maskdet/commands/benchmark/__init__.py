"""`maskdet benchmark`: how long models take, in turns with plain torch."""
