# SPDX-License-Identifier: PostgreSQL
noinst_LIBRARIES += libwm-target-postgres.a

libwm_target_postgres_a_SOURCES = \
	%D%/bookmarks.c \
	%D%/copy.c \
	%D%/copytext.c \
	%D%/copytext.h \
	%D%/ensure.c \
	%D%/flight.c \
	%D%/flight.h \
	%D%/key.c \
	%D%/parallel.c \
	%D%/parallel.h \
	%D%/pass.c \
	%D%/postgres.c \
	%D%/postgres.h \
	%D%/rows.c \
	%D%/rows.h \
	%D%/shape.c \
	%D%/shape.h \
	%D%/sql.c \
	%D%/sql.h \
	%D%/textarray.c \
	%D%/textarray.h \
	%D%/typefit.c \
	%D%/typefit.h \
	%D%/view.c \
	%D%/write.c
