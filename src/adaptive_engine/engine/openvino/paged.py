"""The model as the engine runs it: attention over blocks of the cache, and logits only where a token is sampled.

The IR is an ordinary stateful decoder. `paged_attention_transformation` (the same that OpenVINO GenAI applies) turns
its attention into paged attention over cache tensors that belong to us, so that one call can mix prompt chunks and
decode tokens of many sequences. Behind the last attention no row depends on another: what is computed of a prompt
there, a tenth of a small model with its LM head, is left to the rows that are sampled.
"""

from __future__ import annotations

from typing import Any

import openvino as ov
from openvino import opset13
from openvino._offline_transformations import paged_attention_transformation

from adaptive_engine.engine.batch import INPUTS, LOGITS_INPUT, TOKENS
from adaptive_engine.errors import EngineFailed

_ELEMENTWISE = frozenset({"Add", "Subtract", "Multiply", "Divide", "Power", "Sqrt", "Convert"})
_ACTIVATIONS = frozenset({"Relu", "Swish", "Gelu", "Sigmoid", "Tanh"})
_ALONG_AN_AXIS = frozenset({"ReduceMean", "ReduceSum", "VariadicSplit"})


def page_attention(model: Any, tokens: str = TOKENS) -> None:
    """Transform a stateful decoder in place. `tokens` is the input that has them. Raises EngineFailed."""
    paged_attention_transformation(model)
    names = {port.any_name for port in model.inputs}
    if missing := [name for name in (tokens, *INPUTS) if name not in names]:
        raise EngineFailed(
            f"The paged model has no input {', '.join(missing)}. This build is made for OpenVINO 2026.4, "
            f"{ov.get_version()} is installed.",
            code="openvino_version",
        )
    sampled = opset13.parameter([-1], ov.Type.i64, name=LOGITS_INPUT)
    sampled.output(0).set_names({LOGITS_INPUT})
    for source, readers in _last_whole(model):
        rows = opset13.gather(source, sampled, opset13.constant(0, ov.Type.i64))
        for reader in readers:
            reader.replace_source_output(rows.output(0))
    model.add_parameters([sampled])
    model.validate_nodes_and_infer_types()


def _last_whole(model: Any) -> list[tuple[Any, list[Any]]]:
    """The last outputs that all rows are needed of, each with the inputs that need the sampled ones only."""
    head = model.output("logits").node.input_value(0).node
    hidden = head.input_value(0)
    tail = _behind_last_attention(model, head)
    # From where on all is row by row, up to the head.
    row_by_row: dict[str, Any] = {}
    for node in reversed(tail):
        readers = {_name(reader.get_node()) for output in node.outputs() for reader in output.get_target_inputs()}
        if _is_row_by_row(node) and readers <= row_by_row.keys() | {_name(head)}:
            row_by_row[_name(node)] = node
    found: dict[tuple[str, int], tuple[Any, list[Any]]] = {}
    for node in row_by_row.values():
        for port in node.inputs():
            source = port.get_source_output()
            if _has_rows(source) and (name := _name(source.get_node())) not in row_by_row:
                found.setdefault((name, source.get_index()), (source, []))[1].append(port)
    rank = len(hidden.get_partial_shape())
    shapes = [source.get_partial_shape() for source, _ in found.values()]
    if _name(hidden.get_node()) in row_by_row and all(len(shape) == rank and shape[0].is_dynamic for shape in shapes):
        return list(found.values())
    return [(hidden, [head.input(0)])]


def _behind_last_attention(model: Any, head: Any) -> list[Any]:
    """What the head's input is computed of, as far as it depends on the last attention; in the order of computing."""
    nodes = model.get_ordered_ops()
    last = max((at for at, node in enumerate(nodes) if node.get_type_name() == "PagedAttentionExtension"), default=None)
    if last is None:
        return []
    behind, found = {_name(nodes[last])}, []
    for node in nodes[last + 1 :]:
        if any(_name(port.get_source_output().get_node()) in behind for port in node.inputs()):
            behind.add(_name(node))
            found.append(node)
    names = [_name(node) for node in found]
    return found[: names.index(_name(head))] if _name(head) in behind else []


def _is_row_by_row(node: Any) -> bool:
    """Whether each row of the output is computed of the same row of the inputs. Others than these may be, too."""
    kind = node.get_type_name()
    if kind == "MatMul":
        # Rows times weights.
        return not node.get_attributes()["transpose_a"] and not _has_rows(node.input_value(1))
    if kind in _ALONG_AN_AXIS:
        axes = node.input_value(1).get_node()
        rank = len(node.input_value(0).get_partial_shape())
        return axes.get_type_name() == "Constant" and all(axis % rank for axis in axes.data.reshape(-1).tolist())
    return kind in _ELEMENTWISE | _ACTIVATIONS


def _has_rows(output: Any) -> bool:
    """Nothing else of a paged model has a size that is not known before."""
    return bool(output.get_partial_shape().is_dynamic)


def _name(node: Any) -> str:
    """Unique in its model, unlike the objects that stand for a node."""
    name: str = node.get_name()
    return name
