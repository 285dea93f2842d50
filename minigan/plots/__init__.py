"""Pictures of a run: sample grids, points over D's landscape, loss curves, animations.

Every function takes NumPy arrays and returns an array or a ``matplotlib.figure.Figure`` that isn't
registered with pyplot: nothing has to be closed, and threads and notebooks need no special care.
Matplotlib and Pillow are imported by the first call that needs them, not with this package.
"""

from minigan.plots.animation import Animation, save_gif, thin
from minigan.plots.charts import ratio_chart
from minigan.plots.files import read_metrics
from minigan.plots.images import image_grid, latent_strip, save_grid, to_uint8
from minigan.plots.losses import losses_figure
from minigan.plots.points import points_figure
from minigan.plots.style import COLOURS, STYLE, figure_to_array, save_figure

__all__ = [
    "COLOURS",
    "STYLE",
    "Animation",
    "figure_to_array",
    "image_grid",
    "latent_strip",
    "losses_figure",
    "points_figure",
    "ratio_chart",
    "read_metrics",
    "save_figure",
    "save_gif",
    "save_grid",
    "thin",
    "to_uint8",
]
