"""Non-maximum suppression as a part of the ONNX graph, for those who run the file without this package."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import compose, parser

from maskdet.models.export.onnx_file import save_graph
from maskdet.nms import MIN_VOTE, MIN_VOTER_SHARE

DETECTIONS = "detections"
"""The name of the output: a row a detection, the columns `DETECTION_COLUMNS`."""

DETECTION_COLUMNS = ("image_index", "x_min", "y_min", "x_max", "y_max", "score", "class_index")


@dataclass(frozen=True)
class SuppressionLimits:
    """How boxes are chosen among those of all anchors; `maskdet.inference.metadata.DetectOptions` says the same.

    Attributes:
        score_threshold: Boxes with a lower score are dropped; in [0, 1].
        nms_iou_threshold: A box that overlaps a better one of its class by more than this is dropped; in [0, 1].
        max_candidates: Scores of an image that enter the suppression.
        max_detections: Boxes of an image that leave it.
        box_voting_iou: Candidates of a class that overlap a kept box by this and more move it; 1: none does.
    """

    score_threshold: float
    nms_iou_threshold: float
    max_candidates: int
    max_detections: int
    box_voting_iou: float = 1.0


# Three stable sorts put the rows in order: by anchor and class, by score, by image; the first decides between equal
# scores. `-1.0` is below every threshold.
_GRAPH = """
<ir_version: {ir_version}, opset_import: ["": {opset}]>
suppression (float[batch, anchors, 4] boxes_xyxy, float[batch, anchors, classes] scores) => (float[faces, 7] detections)
{{
    flat_shape = Constant<value_ints = [0, -1]>()
    flat = Reshape(scores, flat_shape)
    num_candidates = Constant<value_ints = [{num_candidates}]>()
    best, best_places = TopK(flat, num_candidates)
    last = Constant<value_ints = [{last_candidate}]>()
    worst = Gather<axis = 1>(best, last)
    axis_1 = Constant<value_ints = [1]>()
    worst_by_image = Unsqueeze(worst, axis_1)
    is_candidate = GreaterOrEqual(scores, worst_by_image)
    nothing = Constant<value_float = -1.0>()
    candidates = Where(is_candidate, scores, nothing)
    by_class = Transpose<perm = [0, 2, 1]>(candidates)

    max_detections = Constant<value_ints = [{max_detections}]>()
    iou_threshold = Constant<value_floats = [{iou_threshold}]>()
    below_threshold = Constant<value_floats = [{below_threshold}]>()
    picked = NonMaxSuppression(boxes_xyxy, by_class, max_detections, iou_threshold, below_threshold)

    num_picked = Shape<start = 0, end = 1>(picked)
    zero = Constant<value_int = 0>()
    one = Constant<value_int = 1>()
    two = Constant<value_int = 2>()
    picked_classes = Gather<axis = 1>(picked, one)
    picked_anchors = Gather<axis = 1>(picked, two)
    num_classes = Constant<value_int = {num_classes}>()
    class_places = Mul(picked_anchors, num_classes)
    places = Add(class_places, picked_classes)
    places_sorted, by_place = TopK<largest = 0>(places, num_picked)
    rows_by_place = Gather(picked, by_place)
    scores_by_place = GatherND(by_class, rows_by_place)
    scores_sorted, by_score = TopK(scores_by_place, num_picked)
    rows_by_score = Gather(rows_by_place, by_score)
    images_by_score = Gather<axis = 1>(rows_by_score, zero)
    image_of_row, by_image = TopK<largest = 0>(images_by_score, num_picked)
    rows = Gather(rows_by_score, by_image)

    num_images = Shape<start = 0, end = 1>(boxes_xyxy)
    num_images_scalar = Squeeze(num_images)
    images = Range(zero, num_images_scalar, one)
    image_as_column = Unsqueeze(image_of_row, axis_1)
    belongs = Equal(image_as_column, images)
    belongs_int = Cast<to = 7>(belongs)
    first_axis = Constant<value_ints = [0]>()
    num_of_image = ReduceSum<keepdims = 0>(belongs_int, first_axis)
    start_of_image = CumSum<exclusive = 1>(num_of_image, zero)
    start_of_row = Gather(start_of_image, image_of_row)
    num_picked_scalar = Squeeze(num_picked)
    place = Range(zero, num_picked_scalar, one)
    rank = Sub(place, start_of_row)
    is_kept = Less(rank, max_detections)
    kept = Compress<axis = 0>(rows, is_kept)

    image_and_anchor = Constant<value_ints = [0, 2]>()
    box_places = Gather<axis = 1>(kept, image_and_anchor)
    found_boxes = GatherND(boxes_xyxy, box_places)
    kept_scores = GatherND(by_class, kept)
    kept_scores_column = Unsqueeze(kept_scores, axis_1)
    image_place = Constant<value_ints = [0]>()
    class_place = Constant<value_ints = [1]>()
{voting}
    kept_float = Cast<to = 1>(kept)
    kept_images = Gather<axis = 1>(kept_float, image_place)
    kept_classes = Gather<axis = 1>(kept_float, class_place)
    detections = Concat<axis = 1>(kept_images, kept_boxes, kept_scores_column, kept_classes)
}}
"""


_NO_VOTING = "    kept_boxes = Identity(found_boxes)"

# M kept boxes against the N candidates of their image: (M, N) overlaps, same class, share of the score. A box votes for
# itself whatever its area; equal scores may leave it out of the N, and it stays as it is then.
_VOTING = """
    axis_2 = Constant<value_ints = [2]>()
    voter_anchors_of_image = Div(best_places, num_classes)
    voter_classes_of_image = Mod(best_places, num_classes)
    voter_places = Unsqueeze(voter_anchors_of_image, axis_2)
    voter_boxes_of_image = GatherND<batch_dims = 1>(boxes_xyxy, voter_places)
    kept_image = Gather<axis = 1>(kept, zero)
    anchor_place = Constant<value_ints = [2]>()
    kept_class = Gather<axis = 1>(kept, class_place)
    kept_anchor = Gather<axis = 1>(kept, anchor_place)
    voter_boxes = Gather(voter_boxes_of_image, kept_image)
    voter_scores = Gather(best, kept_image)
    voter_classes = Gather(voter_classes_of_image, kept_image)
    voter_anchors = Gather(voter_anchors_of_image, kept_image)

    found_column = Unsqueeze(found_boxes, axis_1)
    least = Min(voter_boxes, found_column)
    most = Max(voter_boxes, found_column)
    corner_starts = Constant<value_ints = [0, 1]>()
    corner_ends = Constant<value_ints = [2, 3]>()
    shared_starts = Gather<axis = 2>(most, corner_starts)
    shared_ends = Gather<axis = 2>(least, corner_ends)
    shared_sides_signed = Sub(shared_ends, shared_starts)
    shared_sides = Relu(shared_sides_signed)
    shared = ReduceProd<keepdims = 0>(shared_sides, axis_2)
    voter_starts = Gather<axis = 2>(voter_boxes, corner_starts)
    voter_ends = Gather<axis = 2>(voter_boxes, corner_ends)
    voter_sides = Sub(voter_ends, voter_starts)
    voter_areas = ReduceProd<keepdims = 0>(voter_sides, axis_2)
    found_starts = Gather<axis = 2>(found_column, corner_starts)
    found_ends = Gather<axis = 2>(found_column, corner_ends)
    found_sides = Sub(found_ends, found_starts)
    found_areas = ReduceProd<keepdims = 0>(found_sides, axis_2)
    areas = Add(found_areas, voter_areas)
    united = Sub(areas, shared)
    overlap = Div(shared, united)
    voting_iou = Constant<value_float = {voting_iou}>()
    is_near = GreaterOrEqual(overlap, voting_iou)
    is_of_class = Equal(voter_classes, kept_class)
    min_share = Constant<value_float = {min_share}>()
    min_score = Mul(kept_scores_column, min_share)
    is_sure = GreaterOrEqual(voter_scores, min_score)
    is_near_of_class = And(is_near, is_of_class)
    is_other = And(is_near_of_class, is_sure)
    is_own_anchor = Equal(voter_anchors, kept_anchor)
    is_self = And(is_own_anchor, is_of_class)
    has_vote = Or(is_other, is_self)

    min_vote = Constant<value_float = {min_vote}>()
    no_vote = Constant<value_float = 0.0>()
    squares = Mul(voter_scores, voter_scores)
    votes = Max(squares, min_vote)
    weights = Where(has_vote, votes, no_vote)
    weights_column = Unsqueeze(weights, axis_2)
    weighted = Mul(weights_column, voter_boxes)
    weighted_sum = ReduceSum<keepdims = 0>(weighted, axis_1)
    weight_sum = ReduceSum<keepdims = 1>(weights, axis_1)
    voted = Div(weighted_sum, weight_sum)
    has_votes = Greater(weight_sum, no_vote)
    kept_boxes = Where(has_votes, voted, found_boxes)
"""


def add_suppression(source: Path, path: Path, limits: SuppressionLimits, properties: Mapping[str, str]) -> None:
    """Write an ONNX file that does what `maskdet.inference.suppression.select` does, images of a batch at once.

    Its one output `detections` is (M, 7) float32: the index of the image in the batch, the box as xyxy in pixels of
    the input, the score, the class index; sorted by image, best first within it. It equals `select` but where scores
    or overlaps differ by less than a rounding error, or several scores are equal to that of the last candidate: all of
    them enter. Thresholds of classes are left to the reader, they are in the metadata.

    Args:
        source: A file with the outputs `boxes_xyxy` and `scores`, as `detector_onnx` and this package write it.
        path: The file, complete when it appears.
        limits: Become constants of the graph.
        properties: Its metadata.
    """
    model = onnx.load(source)
    part = parser.parse_model(_graph_text(model, limits))
    part = compose.add_prefix(part, "suppression.", rename_inputs=False, rename_outputs=False)
    # The names of the inputs are those of the outputs that they are joined with, and those may occur once alone.
    part = compose.add_prefix(part, "to_suppress.", **_ONLY_INPUTS)
    joined = [(name, f"to_suppress.{name}") for name in ("boxes_xyxy", "scores")]
    whole = compose.merge_models(model, part, io_map=joined)
    save_graph(whole, path, properties)


_ONLY_INPUTS = {
    "rename_nodes": False,
    "rename_edges": False,
    "rename_outputs": False,
    "rename_initializers": False,
    "rename_value_infos": False,
    "rename_functions": False,
}


def _graph_text(model: onnx.ModelProto, limits: SuppressionLimits) -> str:
    scores = next(output for output in model.graph.output if output.name == "scores")
    _, num_anchors, num_classes = (side.dim_value for side in scores.type.tensor_type.shape.dim)
    num_candidates = min(limits.max_candidates, num_anchors * num_classes)
    # ONNX keeps scores above the threshold, we those that reach it.
    below = np.nextafter(np.float32(limits.score_threshold), np.float32(-1))
    # ONNX compares as float32, `select` as float64: no float32 lies between a number and the one below it.
    iou_threshold = np.float32(limits.nms_iou_threshold)
    if float(iou_threshold) > limits.nms_iou_threshold:
        iou_threshold = np.nextafter(iou_threshold, np.float32(-1))
    return _GRAPH.format(
        ir_version=model.ir_version,
        opset=next(entry.version for entry in model.opset_import if entry.domain == ""),
        num_classes=num_classes,
        num_candidates=num_candidates,
        last_candidate=num_candidates - 1,
        max_detections=limits.max_detections,
        iou_threshold=f"{iou_threshold:.9g}",
        below_threshold=f"{below:.9g}",
        voting=_voting_text(limits.box_voting_iou),
    )


def _voting_text(voting_iou: float) -> str:
    if voting_iou >= 1:
        return _NO_VOTING
    numbers = {"voting_iou": voting_iou, "min_share": MIN_VOTER_SHARE, "min_vote": MIN_VOTE}
    return _VOTING.format(**{name: f"{np.float32(number):.9e}" for name, number in numbers.items()})
