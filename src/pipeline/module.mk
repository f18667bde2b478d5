noinst_LIBRARIES += libwm-pipeline.a
libwm_pipeline_a_SOURCES = \
	%D%/apply.c \
	%D%/batcher.c \
	%D%/bookmarks.c \
	%D%/budget.c \
	%D%/canary.c \
	%D%/columns.c \
	%D%/deliver.c \
	%D%/discover.c \
	%D%/guard.c \
	%D%/holds.c \
	%D%/internal.h \
	%D%/keeper.c \
	%D%/letters.c \
	%D%/letters.h \
	%D%/lost.c \
	%D%/partitions.c \
	%D%/pipeline.c \
	%D%/positions.c \
	%D%/receipts.c \
	%D%/receipts.h \
	%D%/request.c \
	%D%/retry.c \
	%D%/route.c \
	%D%/seed_bulk.c \
	%D%/seed_late.c \
	%D%/seed_unit.c \
	%D%/seed_write.c \
	%D%/seeder.h \
	%D%/sessions.c \
	%D%/setup.c \
	%D%/slot.c \
	%D%/snapshot.c \
	%D%/units.c \
	%D%/watch.c \
	%D%/worker.c
