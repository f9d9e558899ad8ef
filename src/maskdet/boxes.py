"""Box formats and the IoU. The only place where one format turns into another.

Boxes are xyxy unless the name says otherwise: `x_min, y_min, x_max, y_max`, absolute pixels, origin top left,
maximum exclusive, so width = `x_max - x_min`. A box on the network's own terms (yxyx) exists only in
`maskdet.models.efficientdet`.
"""

import numpy as np


def check_boxes(boxes: np.ndarray) -> np.ndarray:
    """Return boxes as a float array of shape (N, 4), whatever sequence they came in.

    Args:
        boxes: (N, 4) numbers; an empty sequence counts as N = 0.

    Returns:
        (N, 4), float32 stays float32, everything else becomes float64.

    Raises:
        ValueError: If the last axis is not 4 long.
    """
    array = np.asarray(boxes)
    array = array if array.dtype == np.float32 else array.astype(np.float64)
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"expected boxes of shape (N, 4), got {array.shape}")
    return array


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Return the area of every box; 0 for empty and inverted ones.

    Args:
        boxes: (N, 4) float, xyxy in pixels.

    Returns:
        (N,) float, never negative, in square pixels.
    """
    boxes = check_boxes(boxes)
    return (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)


def box_iou(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """Return the IoU (Jaccard index) of every box of one set with every box of another.

    Args:
        boxes_a: (N, 4) float, xyxy in pixels, maximum exclusive.
        boxes_b: (M, 4) float, same format.

    Returns:
        (N, M) float in [0, 1]; 0, never NaN, where both boxes have no area.

    Raises:
        ValueError: If an array is not of shape (_, 4).

    >>> box_iou(np.array([[0.0, 0, 4, 2]]), np.array([[2.0, 0, 6, 2]]))
    array([[0.33333333]])
    """
    a, b = check_boxes(boxes_a)[:, None], check_boxes(boxes_b)  # (N, 1, 4), (M, 4)
    shared = (np.minimum(a, b)[..., 2:] - np.maximum(a, b)[..., :2]).clip(0).prod(-1)  # (N, M)
    union = box_area(boxes_a)[:, None] + box_area(boxes_b) - shared  # (N, M)
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def clip_boxes(boxes: np.ndarray, image_wh: tuple[int, int]) -> np.ndarray:
    """Move every coordinate that lies outside the image to its border.

    Args:
        boxes: (N, 4) float, xyxy in pixels; not modified.
        image_wh: Width and height of the image in pixels.

    Returns:
        (N, 4) float with 0 <= x <= width and 0 <= y <= height. A box wholly outside keeps no area.
    """
    width, height = image_wh
    return check_boxes(boxes).clip(0, np.array([width, height, width, height]))


def xyxy_to_xywh(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Turn corners into top-left corner, width, height, as COCO JSON wants them.

    >>> xyxy_to_xywh(np.array([[1.0, 2, 4, 6]]))
    array([[1., 2., 3., 4.]])
    """
    boxes = check_boxes(boxes_xyxy)
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])  # (N, 4)


def xywh_to_xyxy(boxes_xywh: np.ndarray) -> np.ndarray:
    """Turn top-left corner, width, height into corners.

    >>> xywh_to_xyxy(np.array([[1.0, 2, 3, 4]]))
    array([[1., 2., 4., 6.]])
    """
    boxes = check_boxes(boxes_xywh)
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])  # (N, 4)
