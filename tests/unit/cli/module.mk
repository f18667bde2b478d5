check_PROGRAMS += %D%/test_args %D%/test_grid %D%/test_link %D%/test_progress
UNIT_TESTS += %D%/test_args %D%/test_grid %D%/test_link %D%/test_progress
tests_unit_cli_test_args_SOURCES = %D%/test_args.c %D%/capture.h src/cli/args.c
tests_unit_cli_test_args_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)
tests_unit_cli_test_grid_SOURCES = %D%/test_grid.c src/cli/grid.c src/cli/json.c
tests_unit_cli_test_grid_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)
tests_unit_cli_test_link_SOURCES = %D%/test_link.c src/cli/link.c src/cli/uri.c
tests_unit_cli_test_link_LDADD = libwm-pipeline.a libwm-rules.a libwm-target.a libwm-config.a libwm-model.a libwm-base.a \
	$(CMOCKA_LIBS) $(PQ_LIBS) $(SQLITE_LIBS) $(YAML_LIBS) $(CRYPTO_LIBS) $(PTHREAD_LIBS)
tests_unit_cli_test_progress_SOURCES = %D%/test_progress.c src/cli/progress.c src/cli/grid.c
tests_unit_cli_test_progress_LDADD = libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)
