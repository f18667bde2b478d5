# SPDX-License-Identifier: PostgreSQL
# A Zoho Analytics server for tests, and what it is held to.
EXTRA_DIST += \
	%D%/client.py \
	%D%/conftest.py \
	%D%/test_zoho_rows.py

UNIT_TESTS += \
	%D%/test_zoho_rows.py
