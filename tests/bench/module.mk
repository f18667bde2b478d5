# SPDX-License-Identifier: PostgreSQL
EXTRA_DIST += %D%/run

# make bench BENCH='--quick' for a first impression.
bench: walmill$(EXEEXT)
	@WALMILL=$(abs_builddir)/walmill $(srcdir)/%D%/run $(BENCH)

.PHONY: bench
CLEANFILES += bench.json
