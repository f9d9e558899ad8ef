"""A detector's decoded outputs as one traced program of torch: what every export begins with."""

from functools import reduce

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Graph, Node

from maskdet.models.efficientdet import EfficientDetector

BATCH = "batch"
"""The name of the free axis."""

_ATEN = torch.ops.aten
_SOURCE_KEYS = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


class _Decoded(nn.Module):
    """The detector with `decode` as its forward: the exporter takes modules."""

    def __init__(self, detector: EfficientDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.detector.decode(images)


def trace_decoder(detector: EfficientDetector, image_size: int) -> ExportedProgram:
    """Return `detector.decode` for inputs of one size and any number of them, free of the names of source files.

    Sums of stacked feature maps are sums of their terms, see `_add_instead_of_stacking`.

    Args:
        detector: In eval mode, on the CPU.
        image_size: Side of the input in pixels, a multiple of the detector's stride.

    Raises:
        ValueError: If the detector is in training mode or the size is no multiple of its stride.
    """
    if detector.training:
        raise ValueError("expected a detector in eval mode, got one in training mode")
    images = torch.zeros(2, 3, image_size, image_size, dtype=torch.uint8)  # a batch of 1 would become a constant
    with torch.no_grad():
        detector.decode(images[:1])  # checks the size, and makes the anchors: a tensor at hand becomes a constant
        program = torch.export.export(_Decoded(detector), (images,), dynamic_shapes=({0: torch.export.Dim(BATCH)},))
    _add_instead_of_stacking(program.graph)
    for node in program.graph.nodes:
        for key in _SOURCE_KEYS:
            node.meta.pop(key, None)
    program.graph_module.recompile()
    return program


def _add_instead_of_stacking(graph: Graph) -> None:
    """Replace `stack(terms).sum` by additions.

    The pyramid stacks two or three maps on a new last axis and sums over it: no runtime fuses that, and each has to
    lay the maps out anew in memory.
    """
    for total in graph.find_nodes(op="call_function", target=_ATEN.sum.dim_IntList):
        stack, axes = total.args[:2]
        if stack.target != _ATEN.stack.default or len(stack.users) > 1:
            continue
        terms, axis = stack.args[0], stack.args[1] if len(stack.args) > 1 else 0
        if list(axes) != [axis] or len(total.args) > 2 or total.kwargs:
            continue
        with graph.inserting_before(total):
            total.replace_all_uses_with(_sum_of(graph, terms, total))
        graph.erase_node(total)
        graph.erase_node(stack)
    graph.lint()


def _sum_of(graph: Graph, terms: list[Node], like: Node) -> Node:
    """Return a node that adds the terms from left to right; its results look like that of `like`."""

    def add(left: Node, right: Node) -> Node:
        node = graph.call_function(_ATEN.add.Tensor, (left, right))
        node.meta["val"] = like.meta["val"]
        return node

    return reduce(add, terms)
