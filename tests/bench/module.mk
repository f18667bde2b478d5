# SPDX-License-Identifier: PostgreSQL
EXTRA_DIST += %D%/run %D%/zoho %D%/parts %D%/peers

# make bench BENCH="--quick backlog seed" for a first impression of two parts.
bench: walmill$(EXEEXT)
	@WALMILL=$(abs_builddir)/walmill $(srcdir)/%D%/run $(BENCH)

# API units and seconds of changed rows at Zoho Analytics.
bench-zoho: walmill$(EXEEXT)
	@WALMILL=$(abs_builddir)/walmill $(srcdir)/%D%/zoho

.PHONY: bench bench-zoho
CLEANFILES += bench.json

# What the journal could be kept in: docs/adr/0001-journal.md. BENCH='2000000 120' for records and their bytes.
if HAVE_LMDB
EXTRA_PROGRAMS += %D%/journal_storage
tests_bench_journal_storage_SOURCES = %D%/journal_storage.c
tests_bench_journal_storage_CFLAGS = $(AM_CFLAGS) $(LMDB_CFLAGS)
tests_bench_journal_storage_LDADD = libwm-journal.a libwm-base.a $(LMDB_LIBS) $(SQLITE_LIBS) $(ZLIB_LIBS) $(PTHREAD_LIBS)

bench-journal: %D%/journal_storage$(EXEEXT)
	@folder=$$(mktemp -d ./journal_storage.XXXXXX) && { %D%/journal_storage $$folder $(BENCH); rm -rf $$folder; }
else
EXTRA_DIST += %D%/journal_storage.c
bench-journal:
	@echo 'bench-journal: liblmdb-dev was not there when configure ran' >&2; exit 1
endif
.PHONY: bench-journal

# The ways to write rows to PostgreSQL: docs/adr/0005-postgres-write-path.md. BENCH='200000 3' for rows and rounds.
EXTRA_PROGRAMS += %D%/write_paths
tests_bench_write_paths_SOURCES = %D%/write_paths.c
tests_bench_write_paths_LDADD = libwm-base.a $(PQ_LIBS) $(PTHREAD_LIBS)

bench-write: %D%/write_paths$(EXEEXT)
	@$(srcdir)/tests/with-postgres -c shared_buffers=256MB -c max_wal_size=4GB -c autovacuum=off \
		sh -c 'exec %D%/write_paths "$$WM_TEST_PG_URI" $(BENCH)'
.PHONY: bench-write
