noinst_LIBRARIES += libwm-journal.a
libwm_journal_a_SOURCES = \
	%D%/file.c \
	%D%/internal.h \
	%D%/journal.c \
	%D%/reader.c \
	%D%/recover.c \
	%D%/segment.c \
	%D%/syncer.c
