# SPDX-License-Identifier: PostgreSQL
noinst_LIBRARIES += libwm-target-zoho.a

libwm_target_zoho_a_SOURCES = \
	%D%/account.c \
	%D%/answer.c \
	%D%/answer.h \
	%D%/call.c \
	%D%/callback.c \
	%D%/cell.c \
	%D%/cell.h \
	%D%/count.c \
	%D%/criteria.c \
	%D%/criteria.h \
	%D%/csv.c \
	%D%/csv.h \
	%D%/ensure.c \
	%D%/import.c \
	%D%/jobs.c \
	%D%/lost.c \
	%D%/metadata.c \
	%D%/probe.c \
	%D%/quota.c \
	%D%/quota.h \
	%D%/rows.c \
	%D%/stage.c \
	%D%/token.c \
	%D%/token.h \
	%D%/type.c \
	%D%/units.c \
	%D%/write.c \
	%D%/zoho.c \
	%D%/zoho.h
