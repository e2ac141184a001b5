"""Writes the Parquet files of tests/python/parquet, and beside each the JSON that its rows have to become.

`tests/it/sidecar/items/parquet.rs` reads the files and compares; `tests/real/test_parquet.py` writes new ones each time.
To renew them, with pyarrow and duckdb from PyPI:

    python tests/python/parquet_files.py

What is expected is computed here from the values that were put in, never from what was written. Numbers that JSON's
readers would round are in `exact`, as text to be found in the row.
"""

import base64
import datetime
import decimal
import json
import math
import pathlib
import uuid

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent / "parquet"
UTC = datetime.timezone.utc
D = decimal.Decimal


def clean(value):
    """NaN and the infinities have no JSON, bytes are base64, decimals are compared as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return value


def save(name, rows, exact=()):
    expected = {"rows": [clean(row) for row in rows], "exact": list(exact)}
    indent = 1 if len(rows) < 20 else None
    (HERE / f"{name}.json").write_text(json.dumps(expected, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def write(name, table, rows, exact=(), **options):
    pq.write_table(table, HERE / f"{name}.parquet", **options)
    save(name, rows, exact)


def columns(spec):
    """A table and its rows from (name, type, values, expected values)."""
    fields = [(name, kind) for name, kind, _, _ in spec]
    arrays = [pa.array(values, kind) for _, kind, values, _ in spec]
    table = pa.table(arrays, schema=pa.schema(fields))
    count = len(spec[0][2])
    rows = [{name: want[at] for name, _, _, want in spec} for at in range(count)]
    return table, rows


def scalars():
    same = lambda values: (values, values)
    spec = [
        ("bool", pa.bool_(), *same([True, False, None])),
        ("i8", pa.int8(), *same([-128, 127, None])),
        ("i16", pa.int16(), *same([-32768, 32767, None])),
        ("i32", pa.int32(), *same([-(2**31), 2**31 - 1, None])),
        ("i64", pa.int64(), *same([-(2**63), 2**63 - 1, None])),
        ("u8", pa.uint8(), *same([0, 255, None])),
        ("u16", pa.uint16(), *same([0, 65535, None])),
        ("u32", pa.uint32(), *same([0, 2**32 - 1, None])),
        ("u64", pa.uint64(), *same([0, 2**64 - 1, None])),
        ("f16", pa.float16(), [1.5, float("nan"), None], [1.5, None, None]),
        ("f32", pa.float32(), [0.1, float("inf"), None], [0.1, None, None]),
        ("f64", pa.float64(), [0.1, float("-inf"), None], [0.1, None, None]),
        ("f64_small", pa.float64(), *same([5e-324, 1.7976931348623157e308, -0.0])),
        ("text", pa.string(), *same(["", "é\n\"\\\u0000\U0001f600", None])),
        ("large", pa.large_string(), *same(["s3://bucket/key", "x" * 300, None])),
        ("view", pa.string_view(), *same(["short", "longer than twelve bytes", None])),
        ("dictionary", pa.dictionary(pa.int8(), pa.string()), *same(["red", "red", None])),
        ("binary", pa.binary(), *same([b"", b"\x00\xff\xfe", None])),
        ("large_binary", pa.large_binary(), *same([b"a", b"ab", None])),
        ("fixed", pa.binary(3), *same([b"abc", b"\xff\x00\x01", None])),
        ("null", pa.null(), *same([None, None, None])),
    ]
    return columns(spec)


def numbers():
    """Decimals by their text, since a reader of JSON may make floats of them."""
    wide = [D("1234567890123456789012345678.0123456789"), D("-0.0000000001"), None]
    table = pa.table({
        "d9": pa.array([D("1.50"), D("-0.05"), None], pa.decimal128(9, 2)),
        "d18": pa.array([D("1234567890123456.78"), D("-1"), None], pa.decimal128(18, 2)),
        "d38": pa.array(wide, pa.decimal128(38, 10)),
        "d76": pa.array([D("9" * 66 + ".0123456789"), D("-1"), None], pa.decimal256(76, 10)),
        "whole": pa.array([D("99999999999999999999999999999999999999"), D("0"), None], pa.decimal128(38, 0)),
    })
    exact = [
        ['"d9":1.50,', '"d18":1234567890123456.78,', f'"d38":{wide[0]:.10f},', f'"d76":{"9" * 66}.0123456789,', '"whole":99999999999999999999999999999999999999}'],
        ['"d9":-0.05,', '"d18":-1.00,', '"d38":-0.0000000001,', '"d76":-1.0000000000,', '"whole":0}'],
        ['"d9":null,', '"d18":null,', '"d38":null,', '"d76":null,', '"whole":null}'],
    ]
    return table, exact


def instants():
    utc = datetime.datetime(2024, 2, 29, 13, 5, 0, 250000, UTC)
    naive = utc.replace(tzinfo=None)
    old = datetime.datetime(1899, 12, 31, 23, 59, 59, 999999)
    spec = [
        ("date32", pa.date32(), [naive.date(), datetime.date(1, 1, 1), None], ["2024-02-29", "0001-01-01", None]),
        ("date64", pa.date64(), [naive.date(), datetime.date(1969, 12, 31), None], ["2024-02-29", "1969-12-31", None]),
        ("s", pa.timestamp("s"), [naive.replace(microsecond=0), old.replace(microsecond=0), None], ["2024-02-29T13:05:00", "1899-12-31T23:59:59", None]),
        ("ms", pa.timestamp("ms"), [naive, old.replace(microsecond=999000), None], ["2024-02-29T13:05:00.250", "1899-12-31T23:59:59.999", None]),
        ("us", pa.timestamp("us"), [naive, old, None], ["2024-02-29T13:05:00.250", "1899-12-31T23:59:59.999999", None]),
        ("ns", pa.timestamp("ns"), [1, -1, None], ["1970-01-01T00:00:00.000000001", "1969-12-31T23:59:59.999999999", None]),
        ("ms_utc", pa.timestamp("ms", "UTC"), [utc, utc, None], ["2024-02-29T13:05:00.250Z"] * 2 + [None]),
        ("us_zone", pa.timestamp("us", "Europe/Berlin"), [utc, utc, None], ["2024-02-29T13:05:00.250Z"] * 2 + [None]),
        ("ns_utc", pa.timestamp("ns", "UTC"), [1, 2**62, None], ["1970-01-01T00:00:00.000000001Z", "2116-02-20T23:53:38.427387904Z", None]),
        ("t_s", pa.time32("s"), [datetime.time(13, 5), datetime.time(0), None], ["13:05:00", "00:00:00", None]),
        ("t_ms", pa.time32("ms"), [datetime.time(13, 5, 0, 250000), datetime.time(23, 59, 59, 999000), None], ["13:05:00.250", "23:59:59.999", None]),
        ("t_us", pa.time64("us"), [datetime.time(13, 5, 0, 250001), datetime.time(0), None], ["13:05:00.250001", "00:00:00", None]),
        ("t_ns", pa.time64("ns"), [1, 86399999999999, None], ["00:00:00.000000001", "23:59:59.999999999", None]),
        ("duration", pa.duration("us"), [datetime.timedelta(seconds=1), datetime.timedelta(days=-1), None], [1000000, -86400000000, None]),
    ]
    return columns(spec)


def nested():
    point = pa.struct([("x", pa.int32()), ("label", pa.string())])
    deep = pa.list_(pa.list_(pa.struct([("a", pa.list_(pa.int8())), ("b", point)])))
    rows = [
        {
            "list": [1, None, 3],
            "structs": [{"x": 1, "label": "a"}, None, {"x": None, "label": None}],
            "struct": {"x": 1, "label": "a"},
            "map": {"k": 1, "l": None, "é\"": 3},
            "numbers": [{"key": 1, "value": "one"}, {"key": 2, "value": None}],
            "map_of_lists": {"k": [1, 2], "l": [], "m": None},
            "deep": [[{"a": [1], "b": {"x": 2, "label": "z"}}, {"a": None, "b": None}], [], None, [None]],
            "fixed": [1, 2],
            "large": ["a"],
            "list_of_maps": [{"k": 1}, {}, None],
        },
        {
            "list": [], "structs": [], "struct": {"x": None, "label": None}, "map": {}, "numbers": [], "map_of_lists": {},
            "deep": [], "fixed": [None, 2], "large": [], "list_of_maps": [],
        },
        {key: None for key in ["list", "structs", "struct", "map", "numbers", "map_of_lists", "deep", "fixed", "large", "list_of_maps"]},
        {
            "list": [None], "structs": [None], "struct": {"x": 7, "label": None}, "map": {"": 0}, "numbers": [{"key": 3, "value": ""}],
            "map_of_lists": {"z": [None]}, "deep": [[{"a": [], "b": {"x": None, "label": "q"}}]], "fixed": [3, 4], "large": [None, "b"],
            "list_of_maps": [{"k": None, "l": 2}],
        },
    ]
    def stored(row):
        pairs = lambda value: None if value is None else list(value.items())
        row = dict(row)
        row["map"], row["map_of_lists"] = pairs(row["map"]), pairs(row["map_of_lists"])
        row["numbers"] = row["numbers"] and [(entry["key"], entry["value"]) for entry in row["numbers"]]
        row["list_of_maps"] = row["list_of_maps"] and [pairs(value) for value in row["list_of_maps"]]
        return row
    schema = pa.schema([
        ("list", pa.list_(pa.int32())),
        ("structs", pa.list_(point)),
        ("struct", point),
        ("map", pa.map_(pa.string(), pa.int32())),
        ("numbers", pa.map_(pa.int32(), pa.string())),
        ("map_of_lists", pa.map_(pa.string(), pa.list_(pa.int32()))),
        ("deep", deep),
        ("fixed", pa.list_(pa.int32(), 2)),
        ("large", pa.large_list(pa.string())),
        ("list_of_maps", pa.list_(pa.map_(pa.string(), pa.int32()))),
    ])
    return pa.Table.from_pylist([stored(row) for row in rows], schema=schema), rows


def plain(count):
    rows = [{"image": f"s3://b/{at}.jpg", "n": at, "tags": ["t"] * (at % 4)} for at in range(count)]
    return pa.Table.from_pylist(rows), rows


def tasks():
    """`data` as a struct and as text, with what stands beside it."""
    data = pa.struct([("image", pa.string()), ("size", pa.struct([("w", pa.int32())]))])
    table = pa.table({
        "id": pa.array([1, 2], pa.int64()),
        "data": pa.array([{"image": "s3://b/1", "size": {"w": 2}}, {"image": "s3://b/2", "size": None}], data),
        "meta": pa.array(['{"a": 1}', None], pa.string()),
        "predictions": pa.array(['[{"result": []}]', "[]"], pa.string()),
    })
    write("data_struct", table, [{"image": "s3://b/1", "size": {"w": 2}}, {"image": "s3://b/2", "size": None}])
    table = pa.table({
        "data": pa.array(['{"image": "s3://b/1", "n": 1.10}', ' {"image": "s3://b/2"}'], pa.string()),
        "annotations": pa.array(["[]", None], pa.string()),
    })
    write("data_text", table, [{"image": "s3://b/1", "n": 1.10}, {"image": "s3://b/2"}], [['"n": 1.10}'], []])
    table = pa.table({"data": pa.array(["s3://b/1", "{no json", "[]"], pa.string())})
    write("data_no_object", table, [{"data": "s3://b/1"}, {"data": "{no json"}, {"data": "[]"}])


def with_duckdb():
    def copy(name, query, options=""):
        duckdb.sql(f"COPY ({query}) TO '{HERE / name}.parquet' (FORMAT parquet{options})")
    key = uuid.UUID("550e8400-e29b-41d4-a716-446655440000")
    copy("duckdb_types", f"""
        SELECT * FROM (VALUES
            (1::UTINYINT, 18446744073709551615::UBIGINT, 1.5::DECIMAL(4,1), '{key}'::UUID, 'a'::ENUM('a', 'b'),
             DATE '2024-02-29', TIME '13:05:00.25', TIMESTAMP '2024-02-29 13:05:00.25', TIMESTAMPTZ '2024-02-29 13:05:00+01',
             TIMESTAMP_NS '2024-02-29 13:05:00.000000001', TIMESTAMP_S '2024-02-29 13:05:00', INTERVAL '14 months 3 days 4005 milliseconds',
             '\\x00\\xFF'::BLOB, [1, NULL, 2], {{'a': 1, 'b': [{{'c': 'x'}}]}}, MAP {{'k': 1}}, MAP {{1: 'v'}}, 'NaN'::DOUBLE,
             '{{"j": [1, 2]}}'::JSON, true, [[1], [], NULL]),
            (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
        ) AS t(tiny, big, dec, uuid, enum, date, time, stamp, zoned, nano, sec, span, blob, list, struct, map, numbers, nan, json, truth, lists)
    """)
    first = {
        "tiny": 1, "big": 2**64 - 1, "dec": 1.5, "uuid": str(key), "enum": "a", "date": "2024-02-29", "time": "13:05:00.250",
        "stamp": "2024-02-29T13:05:00.250", "zoned": "2024-02-29T12:05:00Z", "nano": "2024-02-29T13:05:00.000000001",
        "sec": "2024-02-29T13:05:00", "span": "P14M3DT4.005S", "blob": b"\x00\xff", "list": [1, None, 2],
        "struct": {"a": 1, "b": [{"c": "x"}]}, "map": {"k": 1}, "numbers": [{"key": 1, "value": "v"}], "nan": None,
        "json": '{"j": [1, 2]}', "truth": True, "lists": [[1], [], None],
    }
    save("duckdb_types", [first, dict.fromkeys(first)])
    copy("duckdb_groups", "SELECT i AS n, 'text ' || (i % 7) AS t, [x FOR x IN range(i % 3)] AS l FROM range(2500) r(i) ORDER BY i",
         ", ROW_GROUP_SIZE 2048, PARQUET_VERSION V2")
    save("duckdb_groups", [{"n": n, "t": f"text {n % 7}", "l": list(range(n % 3))} for n in range(2500)])


def inventory():
    """What S3 Inventory writes. Read by tests/it/sidecar/inventory.rs, which knows what is in it."""
    at = datetime.datetime(2024, 2, 29, 13, 5, 0, 250000, UTC)
    keys = ["a b+c%20/é\"\n.jpg", "current", "old", "gone"]
    fields = [
        ("bucket", pa.string(), ["media"] * 4), ("key", pa.string(), keys), ("version_id", pa.string(), ["v"] * 4),
        ("is_latest", pa.bool_(), [None, True, False, True]), ("is_delete_marker", pa.bool_(), [None, False, False, True]),
        ("size", pa.int64(), [12, 2**40, 1, None]), ("last_modified_date", pa.timestamp("ms", "UTC"), [at] * 4),
        ("e_tag", pa.string(), ["9bb5-2", "d41d", "d41d", None]), ("storage_class", pa.string(), ["STANDARD"] * 4),
    ]
    table = pa.table([pa.array(values, kind) for _, kind, values in fields], names=[name for name, _, _ in fields])
    pq.write_table(table, HERE / "inventory.parquet.bin")


def main():
    HERE.mkdir(exist_ok=True)
    for old in HERE.iterdir():
        old.unlink()
    table, rows = scalars()
    write("scalars", table, rows)
    write("scalars_v2", table, rows, data_page_version="2.0", use_dictionary=False)
    table, exact = numbers()
    write("numbers", table, [], exact)
    write("numbers_as_integers", table.drop_columns(["d38", "d76", "whole"]), [], [
        [cell.replace("-1.00,", "-1.00}").replace("78,", "78}").replace('"d18":null,', '"d18":null}') for cell in row[:2]] for row in exact
    ], store_decimal_as_integer=True)
    table, rows = instants()
    write("instants", table, rows)
    stamps = pa.table({"us": pa.array([0, -1, 1709211900250001, None], pa.timestamp("us"))})
    write("int96", stamps, [{"us": want} for want in ["1970-01-01T00:00:00", "1969-12-31T23:59:59.999999", "2024-02-29T13:05:00.250001", None]], use_deprecated_int96_timestamps=True)
    uuids = pa.table({"uuid": pa.array([uuid.UUID(int=0).bytes, uuid.UUID(int=2**128 - 1).bytes, None], pa.uuid())})
    write("uuid", uuids, [{"uuid": "00000000-0000-0000-0000-000000000000"}, {"uuid": "ffffffff-ffff-ffff-ffff-ffffffffffff"}, {"uuid": None}])
    table, rows = nested()
    write("nested", table, rows)
    write("nested_v2", table, rows, data_page_version="2.0")
    write("nested_old_lists", table, rows, use_compliant_nested_type=False)
    table, rows = plain(300)
    write("groups", table, rows, row_group_size=70, data_page_size=64, write_batch_size=8)
    for codec in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]:
        write(f"codec_{codec}", table, rows, compression=codec, write_page_index=codec == "zstd", write_page_checksum=codec == "gzip")
    for encoding in ["DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"]:
        write(f"encoding_{encoding.lower()}", table.select(["n"]), [{"n": row["n"]} for row in rows], use_dictionary=False, column_encoding={"n": encoding})
    for encoding in ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]:
        write(f"encoding_{encoding.lower()}", table.select(["image"]), [{"image": row["image"]} for row in rows], use_dictionary=False, column_encoding={"image": encoding})
    write("empty", table.slice(0, 0), [])
    required = pa.schema([pa.field("a", pa.int32(), False), pa.field("l", pa.list_(pa.field("element", pa.int32(), False)), False)])
    write("required", pa.table({"a": [1, 2], "l": [[1], []]}, schema=required), [{"a": 1, "l": [1]}, {"a": 2, "l": []}])
    tasks()
    with_duckdb()
    inventory()


if __name__ == "__main__":
    main()
