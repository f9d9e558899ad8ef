"""What the commands of `maskdet` do that is no stage: each is called by `maskdet.cli`."""
