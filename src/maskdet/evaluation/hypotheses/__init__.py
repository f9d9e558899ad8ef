"""Seven hypotheses on the data and the models, each judged by the test it names and by one that respects groups.

Faces of one image, and images of one series, are not independent, and counting faces as if they were makes every
p-value too small. So the verdict follows from the group-aware test; the other stands beside it.
"""
