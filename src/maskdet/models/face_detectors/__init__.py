"""Face detectors that others have trained, behind one interface; their weights come with installed packages."""
