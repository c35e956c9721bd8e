"""Random views of a scene: the geometry is sampled first, then each view is made in one resampling.

Sampling numbers is cheap and moving pixels is not, so scaling, padding, cropping, resizing and flipping are composed
into one map from the image file to the view before a pixel is touched (supplementary section 8).
"""

from spnet.data.augment.sample import ViewParams, sample_view, transform_boxes, whole_scene
from spnet.data.augment.warp import jpeg_scale_for, warp

__all__ = ["ViewParams", "jpeg_scale_for", "sample_view", "transform_boxes", "warp", "whole_scene"]
