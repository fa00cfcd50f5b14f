"""The encoder as two ONNX graphs without their weights: those come at load, from the model's file.

Every matrix is multiplied in eight bits with scales taken from the input at hand, by onnxruntime's
own operators (domain com.microsoft).
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import TensorProto, ValueInfoProto, helper

from vectorstore.e5 import DIMENSIONS
from vectorstore.prompt_encoder import WIDTH

HEADS = 12
EPSILON = 1e-12
_OWN = "com.microsoft"
_STANDARD = ("Add", "LayerNormalization", "Split", "ReduceMean")


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[object] = []
        self.weights: list[object] = []

    def node(self, kind: str, inputs: list[str], outputs: int = 1, **settings: object) -> list[str]:
        names = [f"n{len(self.nodes)}.{number}" for number in range(outputs)]
        domain = "" if kind in _STANDARD else _OWN
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, **settings))
        return names

    def weight(self, name: str, kind: int, *shape: int) -> str:
        tensor = TensorProto(name=name, data_type=kind, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="given at load")
        self.weights.append(tensor)
        return name

    def times(self, states: str, name: str, inputs: int, outputs: int) -> str:
        return self.node(
            "DynamicQuantizeMatMul",
            [
                states,
                self.weight(f"{name}.w", TensorProto.INT8, inputs, outputs),
                self.weight(f"{name}.s", TensorProto.FLOAT, outputs),
                self.weight(f"{name}.z", TensorProto.INT8, outputs),
                self.weight(f"{name}.b", TensorProto.FLOAT, outputs),
            ],
        )[0]

    def normal(self, name: str) -> list[str]:
        return [self.weight(f"{name}.{part}", TensorProto.FLOAT, DIMENSIONS) for part in "wb"]

    def layer(self, states: str, name: str) -> str:
        both = self.times(states, f"{name}.qkv", DIMENSIONS, 3 * DIMENSIONS)
        parts = self.node("Split", [both], 3, axis=2)
        seen = self.node("MultiHeadAttention", parts, num_heads=HEADS)[0]
        seen = self.times(seen, f"{name}.ao", DIMENSIONS, DIMENSIONS)
        states = self.added(states, seen, f"{name}.aln")
        wide = self.node("Gelu", [self.times(states, f"{name}.fi", DIMENSIONS, WIDTH)])[0]
        return self.added(states, self.times(wide, f"{name}.fo", WIDTH, DIMENSIONS), f"{name}.oln")

    def added(self, states: str, change: str, name: str) -> str:
        """Not by onnxruntime's fused operator, which takes six times as long as these two."""
        return self.normalised(self.node("Add", [states, change])[0], name)

    def normalised(self, states: str, name: str) -> str:
        inputs = [states, *self.normal(name)]
        return self.node("LayerNormalization", inputs, epsilon=EPSILON, axis=-1)[0]

    def mean(self, states: str) -> str:
        return self.node("ReduceMean", [states], axes=[1], keepdims=0)[0]

    def model(self, name: str, outputs: Mapping[str, tuple[int | str, ...]]) -> bytes:
        """From `states` (1, tokens, 384) to these outputs, by name with their shapes."""
        graph = helper.make_graph(
            self.nodes,
            name,
            [_tensor("states", (1, "tokens", DIMENSIONS))],
            [_tensor(*output) for output in outputs.items()],
            self.weights,
        )
        sets = [helper.make_opsetid("", 17), helper.make_opsetid(_OWN, 1)]
        model = helper.make_model(graph, opset_imports=sets, ir_version=9)
        data: bytes = model.SerializeToString()
        return data


def _tensor(name: str, shape: tuple[int | str, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def halves(topic: int, cut: int, layers: int) -> tuple[bytes, bytes]:
    """The graphs of the lower `cut` layers and of those above.

    The lower one goes from embedded tokens `states` (1, tokens, 384) to the states after its last
    layer, and to their mean over the tokens (1, 384) after layer number `topic`; the upper one from
    those states to the mean after the last layer.
    """
    lower, upper = _Builder(), _Builder()
    states = lower.normalised("states", "emb.ln")
    for number in range(cut):
        states = lower.layer(states, f"l{number}")
        if number + 1 == topic:
            mean = lower.mean(states)
    below = lower.model("lower layers", {states: (1, "tokens", DIMENSIONS), mean: (1, DIMENSIONS)})
    states = "states"
    for number in range(cut, layers):
        states = upper.layer(states, f"l{number}")
    return below, upper.model("upper layers", {upper.mean(states): (1, DIMENSIONS)})
