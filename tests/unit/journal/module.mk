check_PROGRAMS += %D%/test_durable %D%/test_journal
UNIT_TESTS += %D%/test_durable %D%/test_journal
tests_unit_journal_test_journal_SOURCES = %D%/test_journal.c
tests_unit_journal_test_journal_LDADD = libwm-journal.a libwm-base.a $(CMOCKA_LIBS) $(ZLIB_LIBS) $(PTHREAD_LIBS)
tests_unit_journal_test_durable_SOURCES = %D%/test_durable.c
tests_unit_journal_test_durable_LDADD = libwm-journal.a libwm-base.a $(CMOCKA_LIBS) $(ZLIB_LIBS) $(PTHREAD_LIBS)
