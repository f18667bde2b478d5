noinst_LIBRARIES += libwm-state.a
libwm_state_a_SOURCES = \
	%D%/bookmarks.c \
	%D%/gaps.c \
	%D%/internal.h \
	%D%/letters.c \
	%D%/open.c \
	%D%/reached.c \
	%D%/receipts.c \
	%D%/sources.c \
	%D%/sql.c
