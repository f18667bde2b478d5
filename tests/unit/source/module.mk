check_PROGRAMS += %D%/test_pgoutput
UNIT_TESTS += %D%/test_pgoutput
tests_unit_source_test_pgoutput_SOURCES = %D%/test_pgoutput.c
tests_unit_source_test_pgoutput_LDADD = libwm-source.a libwm-model.a libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)

source_test_fixture = %D%/fixture.c %D%/fixture.h

check_PROGRAMS += %D%/test_stream
UNIT_TESTS += %D%/test_stream
tests_unit_source_test_stream_SOURCES = %D%/test_stream.c $(source_test_fixture)
tests_unit_source_test_stream_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/src
tests_unit_source_test_stream_LDADD = libwm-source.a libwm-journal.a libwm-model.a libwm-base.a $(CMOCKA_LIBS) \
	$(ZLIB_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_prepared
UNIT_TESTS += %D%/test_prepared
tests_unit_source_test_prepared_SOURCES = %D%/test_prepared.c $(source_test_fixture)
tests_unit_source_test_prepared_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/src
tests_unit_source_test_prepared_LDADD = libwm-source.a libwm-journal.a libwm-model.a libwm-base.a $(CMOCKA_LIBS) \
	$(ZLIB_LIBS) $(PTHREAD_LIBS)
