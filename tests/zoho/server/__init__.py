# SPDX-License-Identifier: PostgreSQL
"""A server that speaks the Zoho Analytics API, version 2, as strictly as its documentation allows.

It was written from the documentation, not from the client that it tests. Its HTTP is aiohttp's, its data are in
SQLite, its time is the test's. settings.py lists what can be set, faults.py what can go wrong on demand, routes.py
the calls; control.py is the interface of tests, which use it by way of walmill_testing.zoho.
"""
