"""Detectors as files that run without the code that trained them: ONNX, OpenVINO, `torch.export`."""
