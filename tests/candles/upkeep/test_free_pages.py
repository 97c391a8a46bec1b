"""Free pages are given back: exactly as many as are asked for."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mdstore
from mdstore import InvalidInputError, MaintenanceStoppedError, ReadOnlyError
from mdstore.candles.upkeep import free_pages
from tests.support.doses import dose
from tests.support.fragmented import all_rows, feed, thin_out


@settings(max_examples=dose(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_exactly_as_many_as_are_asked_for(tmp_path_factory, asked):
    with mdstore.open(tmp_path_factory.mktemp("given") / "s.sqlite3") as store:
        feed(store, bars=500, at_once=100)
        thin_out(store)
        rows, upkeep = all_rows(store.path), store.repository.upkeep
        for wanted in asked:
            before = upkeep.pages()
            given = upkeep.give_back(wanted)
            after = upkeep.pages()
            assert given == before.free - after.free == min(wanted, before.free)
            # A page that says where others lie goes along now and then.
            assert given <= before.count - after.count <= given + 1
        assert all_rows(store.path) == rows
        assert store.maintenance.check() == []


def test_others_write_between_the_steps(fed, upkeep, monkeypatch):
    thin_out(fed)
    free, written = upkeep.pages().free, []
    monkeypatch.setattr(free_pages, "MOST", 4)
    monkeypatch.setattr(free_pages, "FIRST_STEP", 4)

    def stop():
        written.append(
            fed.write("W", "1m", [(1_756_684_800_000 + len(written) * 60_000, 1, 1, 1, 1, 1)]).inserted
        )
        return False

    assert free > 10
    upkeep.give_back(free, stop=stop)
    assert len(written) > 1
    assert set(written) == {1}
    assert fed.maintenance.check() == []


def test_told_to_stop_it_stops_and_the_file_is_whole(fed, upkeep):
    thin_out(fed)
    with pytest.raises(MaintenanceStoppedError, match="giving pages back was stopped"):
        upkeep.give_back(10, stop=lambda: True)
    assert fed.maintenance.check() == []


@pytest.mark.parametrize("pages", [-1, 1.5, True, None, "ten"])
def test_what_is_no_number_of_pages_is_refused(upkeep, pages):
    with pytest.raises(
        InvalidInputError, match=r"no number of pages.*whole number from 0|no number of pages"
    ):
        upkeep.give_back(pages)


def test_a_file_that_is_only_read_is_left_alone(fed):
    with mdstore.open(fed.path, read_only=True) as store:
        upkeep = store.repository.upkeep
        for work in (lambda: upkeep.give_back(1), upkeep.vacuum, lambda: upkeep.rebuild("candles")):
            with pytest.raises(ReadOnlyError):
                work()
        assert upkeep.pages().count > 0
        assert upkeep.tables()
