"""Fold batch norms into the convolutions before them, also where convolutions share their weights."""

import onnx_ir as ir
from onnxscript import rewriter
from onnxscript.rewriter.rules.common import fuse_batchnorm_into_conv_rule

_CONVOLUTION, _NORM = "Conv", "BatchNormalization"


def fold_norms(model: ir.Model) -> ir.Model:
    """Return the model without batch norms that follow convolutions.

    The heads of EfficientDet have one convolution for all levels and a norm for each, so that the exporter leaves
    them apart; quantization would then put a rounding between the two. Each level gets weights of its own here, which
    costs some tens of kilobytes.

    Args:
        model: Modified; inference mode.
    """
    for tensor in list(model.graph.initializers.values()):
        uses = list(tensor.uses())
        normed = [use for use in uses if _precedes_norm(use.node)]
        sharing = normed[1:] if len(normed) == len(uses) else normed  # one may keep the original
        for number, use in enumerate(sharing, start=1):
            use.node.replace_input_with(use.idx, _copy(model.graph, tensor, number))
    return rewriter.rewrite(model, [fuse_batchnorm_into_conv_rule])


def _precedes_norm(node: ir.Node) -> bool:
    users = [use.node.op_type for use in node.outputs[0].uses()]
    return node.op_type == _CONVOLUTION and users == [_NORM]


def _copy(graph: ir.Graph, tensor: ir.Value, number: int) -> ir.Value:
    """Return an initializer of the same content under a name of its own."""
    copy = ir.Value(
        name=f"{tensor.name}.{number}", shape=tensor.shape, type=tensor.type, const_value=tensor.const_value
    )
    graph.register_initializer(copy)
    return copy
