# SPDX-License-Identifier: PostgreSQL

check_PROGRAMS += %D%/test_copytext
UNIT_TESTS += %D%/test_copytext
tests_unit_target_postgres_test_copytext_SOURCES = %D%/test_copytext.c
tests_unit_target_postgres_test_copytext_LDADD = libwm-target-postgres.a libwm-base.a $(CMOCKA_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_sql
UNIT_TESTS += %D%/test_sql
tests_unit_target_postgres_test_sql_SOURCES = %D%/test_sql.c
tests_unit_target_postgres_test_sql_LDADD = \
	libwm-target-postgres.a libwm-pg.a libwm-model.a libwm-base.a \
	$(CMOCKA_LIBS) $(PQ_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_textarray
UNIT_TESTS += %D%/test_textarray
tests_unit_target_postgres_test_textarray_SOURCES = %D%/test_textarray.c
tests_unit_target_postgres_test_textarray_LDADD = \
	libwm-target-postgres.a libwm-pg.a libwm-model.a libwm-base.a \
	$(CMOCKA_LIBS) $(PQ_LIBS) $(PTHREAD_LIBS)

check_PROGRAMS += %D%/test_typefit
UNIT_TESTS += %D%/test_typefit
tests_unit_target_postgres_test_typefit_SOURCES = %D%/test_typefit.c
tests_unit_target_postgres_test_typefit_LDADD = \
	libwm-target-postgres.a libwm-pg.a libwm-model.a libwm-base.a \
	$(CMOCKA_LIBS) $(PQ_LIBS) $(PTHREAD_LIBS)
