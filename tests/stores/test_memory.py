import pytest

from openbell.ports import Store
from openbell.stores.memory import MemoryStore
from tests.stores.contract import StoreContract
from tests.stores.made import FakeClock


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self, clock: FakeClock) -> Store:
        return MemoryStore(clock)
