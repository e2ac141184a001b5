"""Parquet that pyarrow and duckdb write now, put into Garage, synced, and read back through the task API."""

import datetime
import json
import uuid

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import parquet_files
from control import TOKEN, sync, task_lines
from gateway import Gateway, storage


@pytest.fixture(scope="module")
def folder(tmp_path_factory, garage):
    """The files of tests/python and those of this one, in a bucket and in a folder."""
    folder = tmp_path_factory.mktemp("parquet")
    parquet_files.HERE = folder
    parquet_files.main()
    by_duckdb(folder)
    by_both(folder)
    garage.create_bucket("parquet")
    for file in folder.glob("*.parquet"):
        garage.s3.upload_file(str(file), "parquet", f"tables/{file.name}")
    # What an object is, its content says.
    garage.s3.upload_file(str(folder / "groups.parquet"), "parquet", "tables/no suffix")
    garage.s3.put_object(Bucket="parquet", Key="tables/cut.parquet", Body=(folder / "groups.parquet").read_bytes()[:-100])
    return folder


def by_duckdb(folder) -> None:
    """Types that duckdb alone has, or writes in its own way."""
    query = """
        SELECT * FROM (VALUES
            (170141183460469231731687303715884105727::HUGEINT, 'infinity'::DATE, TIMETZ '13:05:00+02', BIT '10101',
             '2024-02-29 13:05:00'::TIMESTAMP_MS, [{'uri': 's3://parquet/a.jpg', 'box': [0.5, 1.5]::FLOAT[2]}],
             MAP {'deep': MAP {'er': [1, NULL]}}, union_value(num := 2), 3.14::DECIMAL(38, 20), -1::TINYINT, 2.5::FLOAT)
        ) AS t(huge, forever, zoned_time, bits, ms, boxes, maps, one_of, pi, small, single)
    """
    duckdb.sql(f"COPY ({query}) TO '{folder}/duckdb_odd.parquet' (FORMAT parquet, COMPRESSION zstd)")
    duckdb.sql(f"""
        COPY (SELECT {{'image': 's3://parquet/img/' || i || '.jpg', 'tags': [i, i + 1]}} AS data, {{'n': i}} AS meta FROM range(5000) r(i))
        TO '{folder}/duckdb_tasks.parquet' (FORMAT parquet, ROW_GROUP_SIZE 2048, COMPRESSION gzip)
    """)


def by_both(folder) -> None:
    """Written by pyarrow, read and written again by duckdb: the JSON stays the same."""
    table = pa.table({
        "id": pa.array([uuid.UUID(int=7).bytes] * 2, pa.uuid()),
        "at": pa.array([datetime.datetime(2024, 2, 29, 13, 5, tzinfo=datetime.timezone.utc), None], pa.timestamp("us", "UTC")),
        "rows": pa.array([[[1, 2], [], None], None], pa.list_(pa.list_(pa.int64()))),
        "bytes": pa.array([b"\x00\xff", None], pa.binary()),
    })
    pq.write_table(table, folder / "both_pyarrow.parquet")
    duckdb.sql(f"COPY (FROM '{folder}/both_pyarrow.parquet') TO '{folder}/both_duckdb.parquet' (FORMAT parquet)")


@pytest.fixture(scope="module")
def tasks(folder, garage, keys, tmp_path_factory):
    """What the sync made: the texts of the tasks by file, and the run."""
    running = Gateway(tmp_path_factory.mktemp("gateway"), {
        "admin": {"token": TOKEN}, "access": {"keys": [keys.hs256.config]},
        "storages": [storage(garage, "parquet", "stream", prefix="tables", **{"import": "tasks"})],
    })
    run = sync(running, "parquet")
    found: dict[str, list[str]] = {}
    for line in task_lines(running):
        found.setdefault(json.loads(line)["storage_filename"].removeprefix("tables/"), []).append(line)
    yield found, run
    running.stop()


def data(tasks, name: str) -> list:
    return [json.loads(line)["data"] for line in tasks[0][f"{name}.parquet"]]


def test_each_file_is_read_as_its_writer_meant_it(tasks, folder):
    names = [file.stem for file in folder.glob("*.json")]
    assert len(names) >= 28
    for name in names:
        expected = json.loads((folder / f"{name}.json").read_text())
        lines = tasks[0].get(f"{name}.parquet", [])
        assert len(lines) == max(len(expected["rows"]), len(expected["exact"])), name
        for at, line in enumerate(lines):
            task = json.loads(line)
            assert task["row"] == at, (name, at)
            if expected["rows"]:
                assert task["data"] == expected["rows"][at], (name, at)
            for exact in expected["exact"][at:at + 1]:
                assert all(text in line for text in exact), (name, exact, line)


def test_what_stands_beside_the_data_is_kept(tasks):
    first, second = (json.loads(line) for line in tasks[0]["data_struct.parquet"])
    assert (first["meta"], first["predictions"]) == ({"a": 1}, [{"result": []}])
    assert "meta" not in second and second["predictions"] == []


def test_types_that_duckdb_alone_has(tasks):
    [row] = data(tasks, "duckdb_odd")
    assert row["boxes"] == [{"uri": "s3://parquet/a.jpg", "box": [0.5, 1.5]}]
    assert row["maps"] == {"deep": {"er": [1, None]}}
    assert (row["small"], row["single"], row["ms"]) == (-1, 2.5, "2024-02-29T13:05:00")
    assert '"pi":3.14000000000000000000' in tasks[0]["duckdb_odd.parquet"][0]
    print(tasks[0]["duckdb_odd.parquet"][0])


def test_many_row_groups_of_tasks(tasks):
    found = [json.loads(line) for line in tasks[0]["duckdb_tasks.parquet"]]
    assert [task["row"] for task in found] == list(range(5000))
    assert all(task["data"] == {"image": f"s3://parquet/img/{n}.jpg", "tags": [n, n + 1]} and task["meta"] == {"n": n}
               for n, task in enumerate(found))


def test_both_writers_mean_the_same(tasks):
    want = [
        {"id": "00000000-0000-0000-0000-000000000007", "at": "2024-02-29T13:05:00Z", "rows": [[1, 2], [], None], "bytes": "AP8="},
        {"id": "00000000-0000-0000-0000-000000000007", "at": None, "rows": None, "bytes": None},
    ]
    assert data(tasks, "both_pyarrow") == want
    assert data(tasks, "both_duckdb") == want


def test_the_content_says_what_it_is_and_a_cut_file_is_refused(tasks):
    assert len(tasks[0]["no suffix"]) == 300
    run = tasks[1]
    assert run["status"] == "completed_with_errors" and run["counters"]["failed"] == 1
    [fault] = run["faults"]
    assert fault["key"] == "tables/cut.parquet" and "Parquet" in fault["reason"], fault
    assert "cut.parquet" not in tasks[0]
