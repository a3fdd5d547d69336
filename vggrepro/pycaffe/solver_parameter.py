"""``SolverParameter`` and ``NetState``: solvers that a script defines by attributes, as in naibaf7/caffe."""

from __future__ import annotations

from typing import Any

from vggrepro.pycaffe.proto import caffe_pb2


class NetState:
    """The state of a solver's net, with the methods of that fork for its stages."""

    def __init__(self, message: Any = None) -> None:
        vars(self)["message"] = caffe_pb2.NetState() if message is None else message

    def stage_size(self) -> int:
        return len(self.message.stage)

    def get_stage(self, index: int) -> str:
        return str(self.message.stage[index])

    def add_stage(self, stage: str) -> None:
        self.message.stage.append(stage)

    def set_stage(self, index: int, stage: str) -> None:
        self.message.stage[index] = stage

    def clear_stage(self) -> None:
        del self.message.stage[:]

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["message"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.message, name, value)


class SolverParameter:
    """A solver's fields as attributes, for ``caffe.get_solver``. Classes of scripts inherit from it: other
    attributes are their own. ``message`` is the ``caffe_pb2.SolverParameter``."""

    def __init__(self) -> None:
        vars(self)["message"] = caffe_pb2.SolverParameter()

    @property
    def train_state(self) -> NetState:
        return NetState(self.message.train_state)

    @train_state.setter
    def train_state(self, state: NetState) -> None:
        self.message.train_state.CopyFrom(state.message)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["message"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.message.DESCRIPTOR.fields_by_name and name != "train_state":
            setattr(self.message, name, value)
        else:
            super().__setattr__(name, value)
