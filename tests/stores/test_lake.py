from pathlib import Path

import pytest

from openbell.ports import Store
from openbell.stores.lake import Lake
from tests.stores.contract import StoreContract
from tests.stores.made import FakeClock


class TestLake(StoreContract):
    @pytest.fixture
    def store(self, clock: FakeClock, tmp_path: Path) -> Store:
        lake = Lake(tmp_path / "a lake=x é~*", clock)
        lake.create()
        return lake
