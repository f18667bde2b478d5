check_PROGRAMS += %D%/test_arena
UNIT_TESTS += %D%/test_arena
tests_unit_base_test_arena_SOURCES = %D%/test_arena.c
tests_unit_base_test_arena_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_buf
UNIT_TESTS += %D%/test_buf
tests_unit_base_test_buf_SOURCES = %D%/test_buf.c
tests_unit_base_test_buf_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_clock
UNIT_TESTS += %D%/test_clock
tests_unit_base_test_clock_SOURCES = %D%/test_clock.c
tests_unit_base_test_clock_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_diag
UNIT_TESTS += %D%/test_diag
tests_unit_base_test_diag_SOURCES = %D%/test_diag.c
tests_unit_base_test_diag_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_doubt
UNIT_TESTS += %D%/test_doubt
tests_unit_base_test_doubt_SOURCES = %D%/test_doubt.c
tests_unit_base_test_doubt_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_error
UNIT_TESTS += %D%/test_error
tests_unit_base_test_error_SOURCES = %D%/test_error.c
tests_unit_base_test_error_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_log
UNIT_TESTS += %D%/test_log
tests_unit_base_test_log_SOURCES = %D%/test_log.c
tests_unit_base_test_log_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_lsn
UNIT_TESTS += %D%/test_lsn
tests_unit_base_test_lsn_SOURCES = %D%/test_lsn.c
tests_unit_base_test_lsn_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_reader
UNIT_TESTS += %D%/test_reader
tests_unit_base_test_reader_SOURCES = %D%/test_reader.c
tests_unit_base_test_reader_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_strutil
UNIT_TESTS += %D%/test_strutil
tests_unit_base_test_strutil_SOURCES = %D%/test_strutil.c
tests_unit_base_test_strutil_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)
