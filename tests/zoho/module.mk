# SPDX-License-Identifier: PostgreSQL
# A Zoho Analytics server for tests, and what it is held to.
EXTRA_DIST += \
	%D%/client.py \
	%D%/conftest.py \
	%D%/test_zoho_oauth.py \
	%D%/test_zoho_requests.py \
	%D%/test_zoho_rows.py \
	%D%/test_zoho_types.py \
	%D%/test_zoho_imports.py \
	%D%/test_zoho_jobs.py \
	%D%/test_zoho_metadata.py \
	%D%/test_zoho_faults.py

UNIT_TESTS += \
	%D%/test_zoho_oauth.py \
	%D%/test_zoho_requests.py \
	%D%/test_zoho_rows.py \
	%D%/test_zoho_types.py \
	%D%/test_zoho_imports.py \
	%D%/test_zoho_jobs.py \
	%D%/test_zoho_metadata.py \
	%D%/test_zoho_faults.py
