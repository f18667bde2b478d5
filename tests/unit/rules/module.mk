check_PROGRAMS += \
	%D%/test_append \
	%D%/test_apply \
	%D%/test_expr \
	%D%/test_mask \
	%D%/test_match \
	%D%/test_plan \
	%D%/test_ruleset
UNIT_TESTS += \
	%D%/test_append \
	%D%/test_apply \
	%D%/test_expr \
	%D%/test_mask \
	%D%/test_match \
	%D%/test_plan \
	%D%/test_ruleset
rules_test_fixture = %D%/fixture.c %D%/fixture.h
rules_test_libs = libwm-rules.a libwm-config.a libwm-model.a libwm-base.a $(CMOCKA_LIBS) $(SQLITE_LIBS) \
	$(CRYPTO_LIBS) $(YAML_LIBS) $(PQ_LIBS) $(PTHREAD_LIBS)
tests_unit_rules_test_append_SOURCES = %D%/test_append.c $(rules_test_fixture)
tests_unit_rules_test_append_LDADD = $(rules_test_libs)
tests_unit_rules_test_apply_SOURCES = %D%/test_apply.c $(rules_test_fixture)
tests_unit_rules_test_apply_LDADD = $(rules_test_libs)
tests_unit_rules_test_expr_SOURCES = %D%/test_expr.c $(rules_test_fixture)
tests_unit_rules_test_expr_LDADD = $(rules_test_libs)
tests_unit_rules_test_mask_SOURCES = %D%/test_mask.c $(rules_test_fixture)
tests_unit_rules_test_mask_LDADD = $(rules_test_libs)
tests_unit_rules_test_match_SOURCES = %D%/test_match.c $(rules_test_fixture)
tests_unit_rules_test_match_LDADD = $(rules_test_libs)
tests_unit_rules_test_plan_SOURCES = %D%/test_plan.c $(rules_test_fixture)
tests_unit_rules_test_plan_LDADD = $(rules_test_libs)
tests_unit_rules_test_ruleset_SOURCES = %D%/test_ruleset.c $(rules_test_fixture)
tests_unit_rules_test_ruleset_LDADD = $(rules_test_libs)
