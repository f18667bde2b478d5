noinst_LIBRARIES += libwm-base.a
libwm_base_a_SOURCES = \
	%D%/arena.c \
	%D%/buf.c \
	%D%/bufjson.c \
	%D%/clock.c \
	%D%/diag.c \
	%D%/doubt.c \
	%D%/error.c \
	%D%/folder.c \
	%D%/log.c \
	%D%/lsn.c \
	%D%/secret.c \
	%D%/strutil.c \
	%D%/text.c \
	%D%/text.h
if FAULT_INJECTION
libwm_base_a_SOURCES += %D%/fault.c
endif
