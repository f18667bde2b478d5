# SPDX-License-Identifier: PostgreSQL
EXTRA_DIST += \
	%D%/load.py \
	%D%/test_kill9.py \
	%D%/test_retries.py \
	%D%/test_together.py

# A short run among the others; the long one is a target of its own.
UNIT_TESTS += \
	%D%/test_kill9.py \
	%D%/test_retries.py \
	%D%/test_together.py

fault: walmill$(EXEEXT)
	@WM_KILLS=$${WM_KILLS-120} WM_TEST_TIMEOUT=$${WM_TEST_TIMEOUT-7200} $(RUN_TESTS) %D%/test_kill9.py \
		%D%/test_retries.py

.PHONY: fault
