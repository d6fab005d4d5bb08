"""A store in memory, for tests and for work that leaves nothing behind."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from openbell.market import merge
from openbell.market.instrument import Instrument, Pin, Series
from openbell.ports import Data, Diff, Manifest, SeriesInfo, Version
from openbell.recording.versions import (
    Change,
    nothing_of,
    oldest_kept,
    require_free,
    require_same_series,
    resolve,
    successor,
    vacuumed,
    version_of,
)


@dataclass(slots=True)
class _Stored:
    version: Version
    data: Data | None  # None once vacuumed


class MemoryStore:
    """Keeps every version of every series as whole columns; passes the contract of `Store`.

    Parameters
    ----------
    now_ns
        Tells the time in nanoseconds UTC; what versions are dated by.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._series: dict[Series, list[_Stored]] = {}
        self._pins: dict[str, Pin] = {}
        self._lock = threading.RLock()

    def write(self, data: Data, manifest: Manifest) -> Version:
        merge.require_sound(data)
        with self._lock:
            if not self.versions(data.series) and not len(data):
                raise nothing_of(self, data.series)
            merged = merge.merge(self._newest(data.series), data)
            return self._keep(merged.data, manifest, merged.added, merged.revised)

    def drop(self, series: Series, start_ns: int, end_ns: int, manifest: Manifest) -> Version:
        with self._lock:
            if series not in self._series:
                raise nothing_of(self, series)
            return self._keep(merge.without(self._newest(series), start_ns, end_ns), manifest, 0, 0)

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Data:
        return self._data(pin).between(start_ns, end_ns)

    def resolve(self, ref: str, *, as_of_ns: int | None = None) -> Pin:
        return resolve(self, ref, as_of_ns)

    def list_series(self) -> Sequence[Series]:
        return sorted(self._series)

    def list_instruments(self) -> Sequence[Instrument]:
        return sorted({series.instrument for series in self._series})

    def info(self, pin: Pin) -> SeriesInfo:
        key = self._data(pin).key_ns
        first, last = (int(key[0]), int(key[-1])) if len(key) else (0, 0)
        return SeriesInfo(pin, len(key), first, last, 0)

    def versions(self, series: Series) -> Sequence[Version]:
        return [stored.version for stored in self._series.get(series, ())]

    def diff(self, before: Pin, after: Pin) -> Diff:
        require_same_series(before, after)
        return Diff(*merge.difference(self._data(before), self._data(after)))

    def pin(self, name: str, pin: Pin) -> None:
        with self._lock:
            require_free(self._pins, name, pin)
            self._data(pin)
            self._pins[name] = pin

    def pins(self) -> Mapping[str, Pin]:
        return dict(sorted(self._pins.items()))

    def compact(self, series: Series) -> None:
        if series not in self._series:
            raise nothing_of(self, series)

    def vacuum(self, series: Series, *, keep_days: float) -> Sequence[int]:
        oldest_ns = oldest_kept(self._now_ns(), keep_days)
        with self._lock:
            if series not in self._series:
                raise nothing_of(self, series)
            for stored in self._series[series][:-1]:
                pinned = stored.version.pin in self._pins.values()
                if stored.version.created_ns < oldest_ns and not pinned:
                    stored.data = None
            return [s.version.pin.version for s in self._series[series] if s.data is None]

    def _newest(self, series: Series) -> Data:
        stored = self._series.get(series)
        newest = stored[-1].data if stored else None
        return merge.columns_of(series).empty(series) if newest is None else newest

    def _data(self, pin: Pin) -> Data:
        version_of(self.versions(pin.series), pin)
        data = self._series[pin.series][pin.version - 1].data
        if data is None:
            raise vacuumed(pin)
        return data

    def _keep(self, data: Data, manifest: Manifest, added: int, revised: int) -> Version:
        known = self._series.setdefault(data.series, [])
        newest = known[-1].version if known else None
        removed = (newest.rows if newest else 0) + added - len(data)
        if newest and not (added or revised or removed):
            return newest
        checksum = merge.checksum(merge.blocks(data))
        change = Change(data.series, added, revised, removed, checksum)
        version = successor(newest, self._now_ns(), manifest, change)
        known.append(_Stored(version, data))
        return version
