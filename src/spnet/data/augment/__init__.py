"""Random views of a scene: the geometry is drawn first, then each view is made in one resampling.

Drawing numbers is cheap and moving pixels is not, so scaling, padding, cropping, resizing and flipping are composed
into one map from the picture file to the view before a pixel is touched (SPEC section 5, supplementary section 8).
"""

from spnet.data.augment.config import Augmentation
from spnet.data.augment.draw import draw_view
from spnet.data.augment.plan import ViewPlan, visible_boxes
from spnet.data.augment.resample import make_view, reduction_for

__all__ = ["Augmentation", "ViewPlan", "draw_view", "make_view", "reduction_for", "visible_boxes"]
