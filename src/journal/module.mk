noinst_LIBRARIES += libwm-journal.a
libwm_journal_a_SOURCES = \
	%D%/journal.c
