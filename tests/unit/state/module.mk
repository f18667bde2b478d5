check_PROGRAMS += %D%/test_state
UNIT_TESTS += %D%/test_state
tests_unit_state_test_state_SOURCES = %D%/test_state.c
tests_unit_state_test_state_LDADD = libwm-state.a libwm-base.a $(CMOCKA_LIBS) $(SQLITE_LIBS) $(PTHREAD_LIBS)
