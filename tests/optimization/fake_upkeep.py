"""A file that is what a test says, and remembers what was done to it."""

from types import SimpleNamespace

from mdstore.candles.upkeep.layout import Pages, TableLayout
from mdstore.candles.upkeep.vacuum import Room


class FakeUpkeep:
    """As `FileUpkeep`, in memory; also the repository that has it."""

    def __init__(self, clock, *, pages=10_000, free=0, in_order=1.0, table_pages=9_000):
        self.clock = clock
        self.upkeep = self
        self.count, self.free, self.in_order, self.table_pages = pages, free, in_order, table_pages
        self.kept, self.done = {}, []
        self.disk, self.log, self.seconds = Room(1, 2), True, 1.0
        self.looks = 0

    def now(self):
        return self.clock()

    def pages(self):
        return Pages(self.count, self.free, 16_384)

    def tables(self, names=None, *, stop=None):
        self.looks += 1
        return [TableLayout("candles", self.table_pages, self.table_pages - 1, self.in_order, 0.1)]

    def growth(self):
        return []

    def room(self):
        return self.disk

    def log_is_free(self):
        return self.log

    def vacuum_seconds(self):
        return self.seconds

    def record(self, kind, record):
        self.kept.setdefault(kind, []).append({"at": int(self.clock() * 1000), **record})

    def records(self, kind):
        return self.kept.get(kind, [])

    def last(self, kind):
        return self.records(kind)[-1] if self.records(kind) else None

    def give_back(self, pages, *, stop=None):
        given = min(pages, self.free)
        self.done.append(("incremental", given))
        self.count, self.free = self.count - given, self.free - given
        return given

    def vacuum(self, *, stop=None):
        self.done.append(("vacuum",))
        self.count, self.free, self.in_order = self.count - self.free, 0, 1.0
        return self.seconds

    def rebuild(self, table, *, stop=None):
        self.done.append(("rebuild", table))
        self.count, self.free, self.in_order = self.count + self.table_pages, self.table_pages, 1.0
        return 1


def owner(upkeep):
    """Return a store that has it."""
    return SimpleNamespace(repository=upkeep)
