"""Every projection, once. A new one is found here, gets its first version, and catches up by itself."""

from __future__ import annotations

from projections.projection import Projection
from projections.tiles import Tiles

PROJECTIONS: tuple[Projection, ...] = (Tiles(),)
