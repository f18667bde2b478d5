# SPDX-License-Identifier: PostgreSQL
ZOHO_TESTS = %D%/test_answer %D%/test_cell %D%/test_csv %D%/test_quota %D%/test_token
check_PROGRAMS += $(ZOHO_TESTS)
UNIT_TESTS += $(ZOHO_TESTS)

ZOHO_TEST_LIBS = \
	libwm-target-zoho.a libwm-target.a libwm-config.a libwm-http.a libwm-model.a libwm-base.a \
	$(CMOCKA_LIBS) $(CURL_LIBS) $(CJSON_LIBS) $(YAML_LIBS) $(PTHREAD_LIBS) -lm

tests_unit_target_zoho_test_answer_SOURCES = %D%/test_answer.c
tests_unit_target_zoho_test_answer_LDADD = $(ZOHO_TEST_LIBS)
tests_unit_target_zoho_test_cell_SOURCES = %D%/test_cell.c
tests_unit_target_zoho_test_cell_LDADD = $(ZOHO_TEST_LIBS)
tests_unit_target_zoho_test_csv_SOURCES = %D%/test_csv.c
tests_unit_target_zoho_test_csv_LDADD = $(ZOHO_TEST_LIBS)
tests_unit_target_zoho_test_quota_SOURCES = %D%/test_quota.c
tests_unit_target_zoho_test_quota_LDADD = $(ZOHO_TEST_LIBS)
tests_unit_target_zoho_test_token_SOURCES = %D%/test_token.c
tests_unit_target_zoho_test_token_LDADD = $(ZOHO_TEST_LIBS)
