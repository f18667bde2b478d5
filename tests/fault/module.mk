# SPDX-License-Identifier: PostgreSQL
EXTRA_DIST += \
	%D%/conftest.py \
	%D%/faults.py \
	%D%/load.py \
	%D%/matrix.py \
	%D%/scenarios.py \
	%D%/test_injection.py \
	%D%/test_kill9.py \
	%D%/test_matrix.py \
	%D%/test_retries.py \
	%D%/test_together.py

# A short run among the others; the long one is a target of its own.
UNIT_TESTS += \
	%D%/test_injection.py \
	%D%/test_kill9.py \
	%D%/test_matrix.py \
	%D%/test_retries.py \
	%D%/test_together.py

# With other options, so in a copy.
fault-build: distdir
	rm -rf $@ && mv $(distdir) $@
	cd $@ && ./configure --quiet --enable-fault-injection CC='$(CC)' CFLAGS='$(CFLAGS)' && \
		$(MAKE) $(AM_MAKEFLAGS) walmill

# What came of it is in docs/fault-matrix.md.
fault: walmill$(EXEEXT) fault-build
	@export WM_FAULT_PAGE=$(abs_srcdir)/docs/fault-matrix.md WM_TEST_TIMEOUT=$${WM_TEST_TIMEOUT-7200}; status=0; \
	WM_KILLS=$${WM_KILLS-120} $(RUN_TESTS) %D%/test_kill9.py %D%/test_retries.py %D%/test_matrix.py || status=1; \
	$(RUN_TESTS) -b $(abs_builddir)/fault-build %D%/test_injection.py || status=1; \
	cat "$$WM_FAULT_PAGE"; exit $$status

.PHONY: fault fault-build
