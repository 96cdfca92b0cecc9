"""Which functions of TensorFlow a file by Keras 2 may call between its layers: those that compute with tensors.

Keras 2 writes `x / 255.0` and `tf.nn.relu(x)` as layers that name the function. Any public function of TensorFlow can
be named so, those that read and write files among them: what is not on this list is not called.
"""

from __future__ import annotations

from typing import Any

OPERATIONS = frozenset({"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty"})
"""The classes of such layers. Keras 3 has none of them."""

NAMESPACES = ("__operators__", "image", "linalg", "math", "nn", "quantization", "random", "signal", "strings")
"""Parts of TensorFlow with nothing in them but functions of tensors."""

FUNCTIONS = frozenset({
    "abs", "add", "argmax", "argmin", "argsort", "batch_to_space", "bitcast", "boolean_mask", "broadcast_to",
    "cast", "clip_by_norm", "clip_by_value", "concat", "constant", "cumsum", "divide", "dynamic_partition",
    "dynamic_stitch", "einsum", "ensure_shape", "equal", "exp", "expand_dims", "eye", "fill", "floor", "gather",
    "gather_nd", "greater", "identity", "less", "linspace", "logical_and", "logical_not", "logical_or",
    "matmul", "maximum", "meshgrid", "minimum", "multiply", "norm", "not_equal", "one_hot", "ones", "ones_like",
    "pad", "parallel_stack", "pow", "range", "rank", "realdiv", "reduce_all", "reduce_any", "reduce_logsumexp",
    "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum", "repeat", "reshape", "reverse",
    "reverse_sequence", "roll", "round", "scatter_nd", "searchsorted", "sequence_mask", "shape", "sigmoid",
    "sign", "size", "slice", "sort", "space_to_batch", "split", "sqrt", "square", "squeeze", "stack",
    "stop_gradient", "strided_slice", "subtract", "tanh", "tensor_scatter_nd_add", "tensor_scatter_nd_max",
    "tensor_scatter_nd_min", "tensor_scatter_nd_sub", "tensor_scatter_nd_update", "tensordot", "tile",
    "transpose", "truediv", "truncatediv", "truncatemod", "unique", "unstack", "where", "zeros", "zeros_like",
})  # fmt: skip
"""Functions of tensors at the top of TensorFlow's namespace."""

VALUES = ("RaggedTensor", "sparse.SparseTensor", "SparseTensor")
"""Classes whose methods a file may call."""


def refused(config: Any) -> str | None:
    """What a layer with this configuration would call that is no function of tensors; None where all is well."""
    if not isinstance(config, dict):
        return "nothing that is named"
    function, owner = config.get("function"), config.get("cls_symbol")
    if function is not None and not _computes(str(function)):
        return str(function)[:80]
    if owner is not None and owner not in VALUES:
        return str(owner)[:80]
    names = [str(config[key]) for key in ("attr_name", "method_name") if key in config]
    return next((name[:80] for name in names if name.startswith("_")), None)


def _computes(symbol: str) -> bool:
    """Whether a symbol of TensorFlow, such as `math.subtract` or `compat.v1.transpose`, is a function of tensors."""
    head, _, rest = symbol.removeprefix("compat.v1.").removeprefix("compat.v2.").partition(".")
    return head in NAMESPACES if rest else head in FUNCTIONS
