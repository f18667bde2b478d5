check_PROGRAMS += %D%/test_pgoutput
UNIT_TESTS += %D%/test_pgoutput
tests_unit_source_test_pgoutput_SOURCES = %D%/test_pgoutput.c
tests_unit_source_test_pgoutput_LDADD = libwm-source.a libwm-model.a libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)
