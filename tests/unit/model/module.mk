check_PROGRAMS += %D%/test_model
UNIT_TESTS += %D%/test_model
tests_unit_model_test_model_SOURCES = %D%/test_model.c
tests_unit_model_test_model_LDADD = libwm-model.a libwm-base.a $(CMOCKA_LIBS)

check_PROGRAMS += %D%/test_order
UNIT_TESTS += %D%/test_order
tests_unit_model_test_order_SOURCES = %D%/test_order.c
tests_unit_model_test_order_LDADD = libwm-model.a libwm-base.a $(CMOCKA_LIBS)

check_PROGRAMS += %D%/test_type
UNIT_TESTS += %D%/test_type
tests_unit_model_test_type_SOURCES = %D%/test_type.c
tests_unit_model_test_type_LDADD = libwm-model.a libwm-base.a $(CMOCKA_LIBS)
