"""From an exported model and image files to detections: runs on onnxruntime, without torch."""
