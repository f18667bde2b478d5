check_PROGRAMS += %D%/test_snapshot
UNIT_TESTS += %D%/test_snapshot
tests_unit_seed_test_snapshot_SOURCES = %D%/test_snapshot.c
tests_unit_seed_test_snapshot_LDADD = libwm-seed.a libwm-pg.a libwm-model.a libwm-base.a \
	$(CMOCKA_LIBS) $(PQ_LIBS) $(PTHREAD_LIBS)
