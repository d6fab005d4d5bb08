"""What the application's tests share."""

from tests.places import _cache, place, spy, spy_lake

__all__ = ["_cache", "place", "spy", "spy_lake"]
