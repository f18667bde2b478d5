# SPDX-License-Identifier: PostgreSQL
import pytest
from client import Client


@pytest.fixture
def client(zoho):
    return Client(zoho)


@pytest.fixture
def table(zoho):
    """t(id, name, price), with two rows' worth of room for mistakes."""
    zoho.table("t", id="NUMBER", name="PLAIN", price="DECIMAL_NUMBER")
    return "t"
