check_PROGRAMS += %D%/test_batcher
UNIT_TESTS += %D%/test_batcher
tests_unit_pipeline_test_batcher_SOURCES = %D%/test_batcher.c
tests_unit_pipeline_test_batcher_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/pipeline
tests_unit_pipeline_test_batcher_LDADD = libwm-pipeline.a libwm-model.a libwm-base.a \
	$(CMOCKA_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_ranges
UNIT_TESTS += %D%/test_ranges
tests_unit_pipeline_test_ranges_SOURCES = %D%/test_ranges.c
tests_unit_pipeline_test_ranges_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/pipeline
tests_unit_pipeline_test_ranges_LDADD = libwm-pipeline.a libwm-model.a libwm-base.a \
	$(CMOCKA_LIBS) $(CJSON_LIBS) $(PTHREAD_LIBS)
