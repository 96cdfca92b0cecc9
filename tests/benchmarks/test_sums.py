"""The page of sums, against one that is done by hand."""

from __future__ import annotations

from benchmarks.sums import OPTIONS, sums


def test_a_day_of_one_diagnosis_a_second() -> None:
    given = {name.replace("-", "_"): value for name, value, _ in OPTIONS}
    given |= {"seconds": 7.0, "peak": 2.0, "slots": 2.0, "model_mb": 9.0, "batch_mb": 1.0, "repaired": 0.5}
    given |= {"report_kb": 0.0, "retention_days": 10.0, "events": 13.0, "web_ms": 10.0, "web_ms_mb": 1.0}
    given |= {"journeys": 3.0, "database_ms": 50.0, "idle_ms": 20.0, "row_kb": 5.0}
    given |= {"connections": 4.0, "web_connections": 3.0}
    found = dict(sums(86_400, given)).values()
    assert list(found) == [
        "1; 2",
        "10",  # 2 a second, 7 s each, on 2 slots that are busy 7 tenths of the time
        "1 (0.04)",  # 2 times (10 ms + 10 MB)
        "0.3 (0.2)",  # 2 times 50 ms, and 10 workers with 20 ms each
        "43",
        "12.5 TB",  # 864,000 with 10 MB and half of 9 MB
        "15,552,000",
        "6.48 GB",
        "60 MB/s",
    ]
