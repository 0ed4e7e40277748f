from datetime import UTC, datetime, timedelta, timezone

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streams.records import RawRecord
from streams.sorting import sort_records

offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(1990, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=offsets,
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)


@given(st.lists(st.tuples(times, names, names)), st.integers(1, 5_000))
def test_disk_and_memory_sort_like_the_triple_itself(
    envelopes: list[tuple[datetime, str, str]], memory: int
) -> None:
    records = [
        RawRecord(
            "f",
            f"line {number}",
            msgspec.json.encode({"time": time.isoformat(), "source": source, "id": name}),
        )
        for number, (time, source, name) in enumerate(envelopes)
    ]
    order = sorted(
        range(len(envelopes)), key=lambda n: (envelopes[n][0].astimezone(UTC), *envelopes[n][1:])
    )
    assert list(sort_records(records, memory=memory)) == [records[n] for n in order]
