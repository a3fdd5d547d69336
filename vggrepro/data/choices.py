"""What can be chosen about images. It stands here, apart from what carries it out, because command lines are
read without that."""

from __future__ import annotations

from typing import Literal

Exif = Literal["ignore", "apply"]
"""Whether an image is turned as its EXIF orientation says."""

OnBadImage = Literal["error", "skip"]
"""Whether an image that cannot be decoded ends a run or is left out."""

Kernel = Literal["linear", "cubic", "area", "lanczos", "matlab"]
"""``linear``: OpenCV's bilinear, not anti-aliased, which Caffe uses. ``cubic``, ``area``, ``lanczos``:
OpenCV's. ``matlab``: ``imresize``'s anti-aliased bicubic, which the authors' demo used, with its sizes."""

Centre = Literal["floor", "matcaffe"]
"""Where the centre crop begins if the margin d is odd: (d-1)/2, or (d+1)/2 as in the authors' demo."""

Resize = Literal["keep-aspect", "warp"]
"""``keep-aspect``: the smaller side becomes Q, as in the paper. ``warp``: both sides become Q, whatever the
shape was, as Caffe's convert_imageset makes its databases with --resize_height and --resize_width."""

ChannelOrder = Literal["bgr", "rgb"]
"""The order of a network's input channels: Caffe's, or that of nets brought over from other frameworks."""

MAX_PIXELS = 1 << 28
"""Most pixels of an image, decoded or rescaled: 268 million, 0.8 GB in three channels. The largest images of
ILSVRC have about 50 million."""
