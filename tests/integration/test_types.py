# SPDX-License-Identifier: PostgreSQL
"""Every built-in type arrives exactly, by the seed and by the stream, at both targets."""

import random

import psycopg2
import pytest

# column: (type, values). Each row i takes value i, again from the start when there are fewer.
COLUMNS = {
    "c_bool": ("bool", ["true", "false"]),
    "c_int2": ("int2", ["-32768", "32767", "0"]),
    "c_int4": ("int4", ["-2147483648", "2147483647"]),
    "c_int8": ("int8", ["-9223372036854775808", "9223372036854775807", "9007199254740993"]),
    "c_oid": ("oid", ["4294967295", "0"]),
    "c_float4": ("float4", ["1.1", "NaN", "Infinity", "-Infinity", "3.4028235e38", "1e-45", "16777217"]),
    "c_float8": ("float8", ["0.1", "NaN", "Infinity", "-Infinity", "1.7976931348623157e308", "5e-324",
                            "123456789012345680", "1e15", "-2.5"]),
    "c_numeric": ("numeric", ["1.50000", "NaN", "123456789012345678901234567890123456789012345678901234567890",
                              "0.00000000000000000000000000000000000000000000000001", "-0.0", "Infinity", "-Infinity",
                              "1e100", "42"]),
    "c_numeric60": ("numeric(60,20)", ["1234567890123456789012345678901234567890.12345678901234567890", "0", "NaN"]),
    "c_numeric10": ("numeric(10,2)", ["12345678.90", "-0.01", "7", "NaN", "100.00"]),
    "c_money": ("money", ["12.34", "-92233720368547758.08"]),
    "c_text": ("text", ["", "plain", "z\u00fcrich \U0001f40c \u65e5\u672c", "tab\tnew\nline\r\\back\\N 'quoted' \"double\"",
                        "NULL", "\x01\x7f", " blanks ", "{}", "t", "0", "1e5"]),
    "c_varchar": ("varchar(20)", ["short", ""]),
    "c_char": ("char(5)", ["ab", "abcde", ""]),
    "c_name": ("name", ["a_name"]),
    "c_onechar": ('"char"', ["a", "\u00e9"[0:0]]),
    "c_bytea": ("bytea", ["\\x", "\\x00ff80", "\\xdeadbeef"]),
    "c_date": ("date", ["2024-02-29", "infinity", "-infinity", "0001-01-01", "4713-01-01 BC", "5874897-12-31"]),
    "c_time": ("time", ["00:00:00", "24:00:00", "12:34:56.789012"]),
    "c_timetz": ("timetz", ["12:34:56.7+05:30", "00:00:00-15:59"]),
    "c_timestamp": ("timestamp", ["2024-02-29 12:34:56.789012", "infinity", "-infinity", "4713-01-01 00:00:00 BC",
                                  "294276-12-31 23:59:59.999999", "1999-12-31 23:59:59.5"]),
    "c_timestamptz": ("timestamptz", ["2024-07-01 12:00:00+02", "infinity", "-infinity", "0044-03-15 12:00:00+00 BC",
                                      "2024-10-27 02:30:00+01"]),
    "c_interval": ("interval", ["1 year 2 mons -3 days +04:05:06.789", "-178000000 years", "0", "-00:00:00.000001"]),
    "c_uuid": ("uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    "c_json": ("json", ['{"a":  1, "a": [true, null]}', '"text"', "null"]),
    "c_jsonb": ("jsonb", ['{"b": 1.50, "a": [true, null, "\u00fc\\n"]}', "[]", "12345678901234567890.123456789"]),
    "c_jsonpath": ("jsonpath", ["$.a[*] ? (@ > 2)"]),
    "c_xml": ("xml", ["<a>b</a>"]),
    "c_inet": ("inet", ["192.168.0.1/24", "2001:db8::1"]),
    "c_cidr": ("cidr", ["10.0.0.0/8"]),
    "c_macaddr": ("macaddr", ["08:00:2b:01:02:03"]),
    "c_macaddr8": ("macaddr8", ["08:00:2b:01:02:03:04:05"]),
    "c_bit": ("bit(5)", ["10101"]),
    "c_varbit": ("varbit", ["1", "", "1010101010101010101"]),
    "c_point": ("point", ["(1.5,-2)", "(NaN,Infinity)"]),
    "c_line": ("line", ["{1,2,3}"]),
    "c_lseg": ("lseg", ["[(0,0),(1,1)]"]),
    "c_box": ("box", ["(1,1),(0,0)"]),
    "c_path": ("path", ["[(0,0),(1,1),(2,0)]", "((0,0),(1,1))"]),
    "c_polygon": ("polygon", ["((0,0),(1,1),(1,0))"]),
    "c_circle": ("circle", ["<(1,2),3>"]),
    "c_tsvector": ("tsvector", ["'a':1A 'quick':2,5"]),
    "c_tsquery": ("tsquery", ["'a' & !'b' <-> 'c'"]),
    "c_int4range": ("int4range", ["[1,10)", "empty", "(,)"]),
    "c_int8range": ("int8range", ["[1,9223372036854775807)"]),
    "c_numrange": ("numrange", ["(1.50,2.500]", "[,7]"]),
    "c_daterange": ("daterange", ["[2024-01-01,2024-02-01)", "[-infinity,infinity)"]),
    "c_tsrange": ("tsrange", ['["2024-01-01 00:00:00","2024-01-02 00:00:00")']),
    "c_tstzrange": ("tstzrange", ['["2024-01-01 00:00:00+01",)']),
    "c_multirange": ("int4multirange", ["{[1,3),[5,7)}", "{}"]),
    "c_nummultirange": ("nummultirange", ["{[1.0,2.00)}"]),
    "c_lsn": ("pg_lsn", ["16/B374D848"]),
    "c_snapshot": ("pg_snapshot", ["10:20:10,14,15"]),
    "c_xid": ("xid", ["4294967295"]),
    "c_xid8": ("xid8", ["18446744073709551615"]),
    "c_cid": ("cid", ["7"]),
    "c_tid": ("tid", ["(4294967295,1)"]),
    "c_regtype": ("regtype", ["integer", "text[]"]),
    "c_int2vector": ("int2vector", ["1 2 3"]),
    "c_oidvector": ("oidvector", ["1 4294967295"]),
    "c_bools": ("bool[]", ["{t,f,NULL}", "{}"]),
    "c_ints": ("int4[]", ["{1,NULL,-3}", "{{1,2},{3,4}}", "[0:1]={5,6}", "{}"]),
    "c_int8s": ("int8[]", ["{9223372036854775807}"]),
    "c_texts": ("text[]", ['{plain,"with space","quote \\" back \\\\",NULL,"NULL","","{}"}', "{}"]),
    "c_numerics": ("numeric[]", ["{1.50,NaN,1e40}"]),
    "c_floats": ("float8[]", ["{0.1,NaN,-Infinity}"]),
    "c_byteas": ("bytea[]", ['{"\\\\x00ff",NULL}']),
    "c_dates": ("date[]", ["{infinity,2024-01-01}"]),
    "c_timestamptzs": ("timestamptz[]", ['{"2024-07-01 12:00:00+02"}']),
    "c_intervals": ("interval[]", ['{"1 day 02:03:04"}']),
    "c_uuids": ("uuid[]", ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"]),
    "c_jsonbs": ("jsonb[]", ['{"{\\"a\\": 1}",NULL}']),
    "c_chars": ("char(3)[]", ["{a,bcd}"]),
    "c_varchars": ("varchar(5)[]", ["{a,bcd}"]),
    "c_ranges": ("int4range[]", ['{"[1,2)",empty}']),
    "c_inets": ("inet[]", ["{10.0.0.1}"]),
    "c_enum": ("mood", ["happy", "it's fine", 'so "so"']),
    "c_enums": ("mood[]", ['{happy,"it\'s fine"}']),
    "c_domain": ("positive", ["1", "2147483647"]),
    "c_textdomain": ("short_text", ["abc"]),
    "c_exactdomain": ("price", ["12.50"]),
    "c_domains": ("positive[]", ["{1,2}"]),
    "c_composite": ("address", ['("Main St, 5",8001)', "(,)", '("a ""b"" \\\\ c",)']),
    "c_composites": ("address[]", ['{"(\\"Main St, 5\\",8001)",NULL}']),
    "c_ownrange": ("floatrange", ["[1.5,2.5)"]),
}
TYPES = """
    CREATE TYPE mood AS ENUM ('happy', 'it''s fine', 'so "so"');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE DOMAIN base_text AS varchar(10);
    CREATE DOMAIN short_text AS base_text;
    CREATE DOMAIN price AS numeric(10,2);
    CREATE TYPE address AS (street text, zip int);
    CREATE TYPE floatrange AS RANGE (subtype = float8);
"""
ROWS = max(len(values) for _, values in COLUMNS.values()) + 1


@pytest.fixture
def columns(db):
    """Those that this server was built with."""
    db.execute(TYPES)
    try:
        db.execute("SELECT '<a/>'::xml")
    except psycopg2.errors.FeatureNotSupported:
        return {k: v for k, v in COLUMNS.items() if v[0] != "xml"}
    return COLUMNS


def insert(db, columns, first):
    """ROWS rows, the last one all null."""
    names = ", ".join(columns)
    places = ", ".join(f"%s::{kind}" for kind, _ in columns.values())
    for i in range(ROWS):
        values = [None if i == ROWS - 1 else v[i % len(v)] for _, v in columns.values()]
        db.execute(f"INSERT INTO t (id, {names}) VALUES (%s, {places})", first + i, *values)


def test_trap_24_every_type(db, columns, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, " + ", ".join(f"{k} {v[0]}" for k, v in columns.items()) + ")")
    insert(db, columns, 0)
    daemon = start("- table: public.t")
    daemon.same("t")
    insert(db, columns, 1000)
    daemon.same("t")
    # The seed's and the stream's form of a value are the same one.
    for name in columns:
        assert daemon.rows(f"SELECT count(*) FROM t a JOIN t b ON b.id = a.id + 1000 WHERE a.id < 1000 "
                           f"AND NOT (CAST(a.{name} AS text) = CAST(b.{name} AS text) OR a.{name} IS NULL AND b.{name} IS NULL)"
                           ) == [(0,)], name
    # Every value is changed into the next one of its column, and into null and back.
    for name, (kind, values) in columns.items():
        db.execute(f"UPDATE t SET {name} = %s::{kind} WHERE id = 1000; UPDATE t SET {name} = NULL WHERE id = 1001; "
                   f"UPDATE t SET {name} = %s::{kind} WHERE id = {1000 + ROWS - 1}", values[-1], values[0])
    daemon.same("t")


def test_sqlite_keeps_numbers_as_numbers(db, daemon):
    """What people compute with is a number there; what no double or integer holds is text."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, b bool, i int8, f float8, n numeric, m numeric(10,2), x bytea, "
               "d date); INSERT INTO t VALUES (1, true, 9223372036854775807, 0.1, "
               "123456789012345678901234567890.5, 12.50, '\\x00ff', '2024-01-31')")
    d = daemon("- table: public.t").start()
    d.wait()
    assert d.rows("SELECT b, i, f, n, m, x, d FROM t") == [
        (1, 9223372036854775807, 0.1, "123456789012345678901234567890.5", 12.5, b"\x00\xff", "2024-01-31")]
    assert d.rows("SELECT typeof(b), typeof(i), typeof(f), typeof(n), typeof(m), typeof(x), date(d, '+1 day') FROM t") == [
        ("integer", "integer", "real", "text", "real", "blob", "2024-02-01")]
    d.sigterm()


def test_postgres_keeps_the_types(db, dw, daemon):
    db.execute("CREATE TABLE t (id bigint PRIMARY KEY, n numeric(12,3), ts timestamptz, v varchar(7), a int[], j jsonb, "
               "r tstzrange, u uuid)")
    d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    db.execute("INSERT INTO t (id) VALUES (1)")
    d.wait()
    kinds = dict(dw.rows("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                         "WHERE attrelid = 't'::regclass AND attnum > 0"))
    assert kinds == {"id": "bigint", "n": "numeric(12,3)", "ts": "timestamp with time zone",
                     "v": "character varying(7)", "a": "integer[]", "j": "jsonb", "r": "tstzrange", "u": "uuid"}
    d.sigterm()


def test_trap_21_large_values(db, start):
    """TOAST: larger than a page, compressible and not, by seed and stream, and one of some megabytes."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, doc text, j jsonb, bytes bytea)")
    noise = random.Random(1)

    def value(n):
        return "".join(noise.choices("abcdefghijklmnopqrstuvwxyz\u00e4\u20ac ", k=n))

    for i, size in enumerate((1, 2000, 9000, 300_000)):
        db.execute("INSERT INTO t VALUES (%s, %s, jsonb_build_object('v', %s), %s)", i, value(size), value(size),
                   noise.randbytes(size))
    daemon = start("- table: public.t")
    daemon.same("t")
    for i, size in enumerate((1, 2000, 9000, 300_000, 5_000_000)):
        db.execute("INSERT INTO t VALUES (%s, %s, jsonb_build_object('v', %s), %s)", 10 + i, value(size), value(size),
                   noise.randbytes(size))
    db.execute("INSERT INTO t VALUES (99, repeat('compressible ', 500000), NULL, decode(repeat('00', 3000000), 'hex'))")
    daemon.same("t")


def test_trap_26_names_that_need_quotes(db, start):
    db.execute('CREATE SCHEMA "Odd schema"; CREATE TABLE "Odd schema"."Select ""it""" '
               '("Id" int PRIMARY KEY, "group by" text, "a.b" int, "\u00fcml\u00e4ut" text, "%s" text)')
    daemon = start("""- {name: odd, table: ["Odd schema.*"], view: odd}""")
    db.execute('INSERT INTO "Odd schema"."Select ""it""" VALUES (1, \'x\', 2, \'y\', \'z\'), (2, NULL, NULL, NULL, NULL)')
    db.execute('UPDATE "Odd schema"."Select ""it""" SET "group by" = \'q\' WHERE "Id" = 2')
    db.execute('UPDATE "Odd schema"."Select ""it""" SET "Id" = 7 WHERE "Id" = 1')
    daemon.same('"Odd schema"."Select ""it"""', view="odd")
