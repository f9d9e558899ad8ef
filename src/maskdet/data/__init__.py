"""Images and labels: archives, tables, folds, and the batches that a network is trained on."""
