"""Inside: the one GPU that a guest may use, or none, and how many threads.

Chosen after the fork and before the first operation. The warm parent sees no device: a driver that was initialized
before a fork cannot be used after it.
"""

from __future__ import annotations

import os
import re

from app.sandbox.protocol import HIDDEN, GuestDevice

FAULT = re.compile(
    r"CUDA_ERROR_(?!OUT_OF_MEMORY)|cudaError(?!MemoryAllocation)|CUDNN_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)|"
    r"CUBLAS_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)|\bXid\b|illegal memory access|unspecified launch failure|"
    r"device-side assert|uncorrectable ECC|fallen off the bus"
)
"""How CUDA and its driver say, through TensorFlow, that the device has gone wrong. A lack of memory is no fault."""

MIB = 1 << 20


class DeviceUnusable(Exception):  # noqa: N818 - says a state
    """The GPU that this guest was given cannot be used."""


def use_device(device: GuestDevice | None) -> None:
    """Use that GPU and no more of its memory than its share, taken as it is needed; without one, the processor."""
    os.environ |= HIDDEN if device is None else {"CUDA_VISIBLE_DEVICES": device.visible}
    if device is None:
        return
    # The variable and not the call: TensorFlow takes growth and a bound together only so.
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise DeviceUnusable("TensorFlow sees no GPU: its libraries, the driver or the device are not right")
    if device.memory_bytes:
        share = tf.config.LogicalDeviceConfiguration(memory_limit=max(1, device.memory_bytes // MIB))
        tf.config.set_logical_device_configuration(gpus[0], [share])


def use_threads(count: int) -> None:
    """Bound TensorFlow's pools; before its first operation, as it asks."""
    import tensorflow as tf

    if count > 0:
        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)


def is_fault(error: BaseException) -> bool:
    """Whether this error says that the device has gone wrong, and not the model."""
    return isinstance(error, DeviceUnusable) or FAULT.search(str(error)) is not None
