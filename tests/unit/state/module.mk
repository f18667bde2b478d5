check_PROGRAMS += %D%/test_state
UNIT_TESTS += %D%/test_state
tests_unit_state_test_state_SOURCES = %D%/test_state.c
tests_unit_state_test_state_LDADD = libwm-state.a libwm-base.a $(CMOCKA_LIBS) $(SQLITE_LIBS) $(PTHREAD_LIBS)
check_PROGRAMS += %D%/test_receipts
UNIT_TESTS += %D%/test_receipts
tests_unit_state_test_receipts_SOURCES = %D%/test_receipts.c
tests_unit_state_test_receipts_LDADD = libwm-state.a libwm-base.a $(CMOCKA_LIBS) $(SQLITE_LIBS) $(PTHREAD_LIBS)
