"""One short module per DVC stage: read inputs, call one function, write outputs."""
