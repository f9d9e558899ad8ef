"""What runs model files, a library a module: each is imported only when a model is opened with it."""
