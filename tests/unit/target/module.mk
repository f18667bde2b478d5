check_PROGRAMS += %D%/test_target %D%/test_sqlite
UNIT_TESTS += %D%/test_target %D%/test_sqlite
tests_unit_target_test_target_SOURCES = %D%/test_target.c
tests_unit_target_test_target_LDADD = \
	libwm-target.a libwm-config.a libwm-model.a libwm-base.a \
	$(CMOCKA_LIBS) $(YAML_LIBS) $(PTHREAD_LIBS)
tests_unit_target_test_sqlite_SOURCES = %D%/test_sqlite.c
tests_unit_target_test_sqlite_LDADD = \
	libwm-target-sqlite.a libwm-target.a libwm-config.a libwm-model.a libwm-base.a \
	$(CMOCKA_LIBS) $(SQLITE_LIBS) $(YAML_LIBS) $(PTHREAD_LIBS)
