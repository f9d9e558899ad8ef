"""Videos, cameras and streams: the same predictor frame by frame, people followed, faces blurred."""
