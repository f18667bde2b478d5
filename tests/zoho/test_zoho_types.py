# SPDX-License-Identifier: PostgreSQL
"""What texts the types take, and what is stored."""

import pytest

ISO = "yyyy-MM-dd HH:mm:ss"
LONG = "9" * 19

TAKEN = [
    ("NUMBER", "0", "0"), ("NUMBER", "-12", "-12"), ("NUMBER", "007", "7"), ("NUMBER", str(2**63 - 1), str(2**63 - 1)),
    ("NUMBER", str(-2**63), str(-2**63)), ("NUMBER", "1.5", None), ("NUMBER", LONG, None), ("NUMBER", "+1", None),
    ("NUMBER", " 1", None), ("NUMBER", "1,000", None), ("NUMBER", "abc", None), ("NUMBER", "1e3", None),
    ("POSITIVE_NUMBER", "5", "5"), ("POSITIVE_NUMBER", "-5", None),
    ("DECIMAL_NUMBER", "1.50", "1.5"), ("DECIMAL_NUMBER", "-0.0", "0"), ("DECIMAL_NUMBER", ".5", "0.5"),
    ("DECIMAL_NUMBER", "1234567890123456.789", "1234567890123456.789"),
    ("DECIMAL_NUMBER", "12345678901234567.8901", None), ("DECIMAL_NUMBER", "NaN", None),
    ("DECIMAL_NUMBER", "Infinity", None), ("DECIMAL_NUMBER", "1e3", None), ("DECIMAL_NUMBER", "1,5", None),
    ("CURRENCY", "9.99", "9.99"), ("CURRENCY", "$9.99", None), ("PERCENT", "12.5", "12.5"), ("PERCENT", "12%", None),
    ("BOOLEAN", "true", "true"), ("BOOLEAN", "false", "false"), ("BOOLEAN", "t", None), ("BOOLEAN", "1", None),
    ("BOOLEAN", "TRUE", None), ("PLAIN", "x" * 250, "x" * 250), ("PLAIN", "x" * 251, None),
    ("PLAIN", "ż" * 126, None), ("MULTI_LINE", "x" * 5000, "x" * 5000), ("PLAIN", "a\0b", None),
    ("EMAIL", "a@b.example", "a@b.example"), ("EMAIL", "a at b", None), ("EMAIL", "a@b", None),
    ("URL", "https://b.example/x?y", "https://b.example/x?y"), ("URL", "b.example", None),
    ("DATE", "2024-02-29 23:59:59", "2024-02-29 23:59:59"), ("DATE", "2023-02-29 00:00:00", None),
    ("DATE", "2024-02-29", None), ("DATE", "2024-02-29 24:00:00", None), ("DATE", "2024-02-29 10:00:00.5", None),
    ("DATE", "2024-02-29 10:00:00+00", None), ("DATE", "10000-01-01 00:00:00", None), ("DATE", "infinity", None),
    ("DATE", "0044-03-15 00:00:00 BC", None), ("DATE", "29/02/2024 10:00:00", None),
    ("TIME", "23:59:59", "23:59:59"), ("TIME", "24:00:00", None), ("DURATION", "01:02:03", "01:02:03"),
]


@pytest.mark.parametrize("kind, text, stored", TAKEN)
def test_value(zoho, client, kind, text, stored):
    zoho.table("v", id="NUMBER", value=kind)
    loaded = client.load("v", f'id,value\n1,"{text}"\n', dateFormat=ISO)
    assert loaded.code == (7232 if stored is None else None), loaded
    inserted = client.insert("v", {"id": "2", "value": text}, dateFormat=ISO)
    assert inserted.code == (7507 if stored is None else None), inserted
    assert [row["value"] for row in zoho.rows("v")] == ([] if stored is None else [stored] * 2)


def test_empty_is_null(zoho, client):
    zoho.table("v", id="NUMBER", text="PLAIN", number="NUMBER", at="DATE")
    client.load("v", 'id,text,number,at\n1,"",,\n2,,"",""\n')
    client.insert("v", {"id": "3", "text": "", "number": "", "at": ""})
    assert all(row[name] is None for row in zoho.rows("v") for name in ("text", "number", "at"))


def test_separators(zoho, client):
    zoho.table("v", id="NUMBER", value="DECIMAL_NUMBER")
    for number, (text, more) in enumerate((
            ("1,234.5", {"thousandSeparator": 0}), ("1.234,5", {"thousandSeparator": 1, "decimalSeparator": 1}),
            ("1 234.5", {"thousandSeparator": 2}), ("1'234.5", {"thousandSeparator": 3}),
            ("1_234.5", {"columnSeparators": {"value": ["_", "."]}}), ("1234.5", {"thousandSeparator": None}))):
        assert client.load("v", f'id,value\n{number},"{text}"\n', **more).status == 200, text
    assert {row["value"] for row in zoho.rows("v")} == {"1234.5"}
    for text, more in (("1234,5", {}), ("12,34.5", {"thousandSeparator": 0}),
                       ("1.5", {"thousandSeparator": 4, "decimalSeparator": 1})):
        assert client.load("v", f'id,value\n9,"{text}"\n', **more).code == 7232


@pytest.mark.parametrize("pattern, text, stored", [
    ("dd/MM/yyyy HH:mm:ss", "01/02/2024 03:04:05", "2024-02-01 03:04:05"),
    ("MMM d, yyyy h:mm a", "Feb 1, 2024 12:05 AM", "2024-02-01 00:05:00"),
    ("EEE, dd MMMM yyyy", "Thu, 01 February 2024", "2024-02-01 00:00:00"),
    ("yyyy-MM-dd'T'HH:mm:ss", "2024-02-01T03:04:05", "2024-02-01 03:04:05"),
    ("yyyy-MM-dd HH:mm:ss.SSS", "2024-02-01 03:04:05.678", "2024-02-01 03:04:05.678"),
    ("yy-MM-dd", "24-02-01", "2024-02-01 00:00:00"), ("yyyyMMdd", "20240201", "2024-02-01 00:00:00")])
def test_date_formats(zoho, client, pattern, text, stored):
    zoho.table("v", id="NUMBER", at="DATE")
    assert client.load("v", f'id,at\n1,"{text}"\n', columnDateFormat={"at": pattern}, dateFormat=ISO).status == 200
    assert zoho.rows("v", "at") == [{"at": stored}]


@pytest.mark.parametrize("pattern", ["now", "yyyy-MM-dd HH:mm:ss.SSSSSS", "yyyy-MM", "yyyy-MM-dd hh:mm", "yyyy-MM-dd'",
                                     "yyyy'-MM-dd", "YYYY-MM-dd", "yyyy-MM-dd yyyy", "yyyyy-MM-dd"])
def test_date_formats_refused(zoho, client, pattern):
    zoho.table("v", id="NUMBER", at="DATE")
    assert client.load("v", "id,at\n1,\n", columnDateFormat={"at": pattern}).code == 7512


def test_one_format_for_all_dates_does_not_fit_days(zoho, client):
    zoho.table("v", id="NUMBER", day="DATE_AS_DATE")
    assert client.load("v", "id,day\n1,2024-02-01\n", dateFormat=ISO).code == 7232
    assert client.load("v", "id,day\n1,2024-02-01\n", dateFormat=ISO,
                       columnDateFormat={"day": "yyyy-MM-dd"}).status == 200
    assert zoho.rows("v", "day") == [{"day": "2024-02-01"}]


def test_auto_number(zoho, client):
    zoho.table("v", number="AUTO_NUMBER", text="PLAIN")
    assert client.insert("v", {"number": "9", "text": "a"}).data["invalidColumns"] == {"number": "9"}
    client.load("v", "number,text\n9,b\n9,c\n", "APPEND")
    assert zoho.rows("v") == [{"number": str(n), "text": text} for n, text in ((1, "a"), (2, "b"), (3, "c"))]


def test_other_readings_of_what_is_not_verified(zoho, client):
    zoho.reset(boolean_literals={"t": True, "f": False}, number_exponents=True, plain_max=3, text_limit_in_bytes=False,
               decimal_digits=30, text_ignores_case=True)
    client.token = client.tokens()["access_token"]
    zoho.table("v", id="PLAIN", flag="BOOLEAN", price="DECIMAL_NUMBER")
    client.load("v", "id,flag,price\nżżż,t,1e3\n")
    client.load("v", "id,flag,price\nabc,f,123456789012345678901.5\n")
    client.load("v", "id,flag,price\nABC,f,1\n")
    assert zoho.rows("v") == [{"id": "żżż", "flag": "true", "price": "1000"},
                              {"id": "ABC", "flag": "false", "price": "1"}]
