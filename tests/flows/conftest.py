"""Flows share the lake and the folders of the application's tests."""

from tests.app.conftest import _cache, place, spy, spy_lake

__all__ = ["_cache", "place", "spy", "spy_lake"]
