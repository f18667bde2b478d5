check_PROGRAMS += %D%/test_config %D%/test_options %D%/test_secrets %D%/test_yaml
UNIT_TESTS += %D%/test_config %D%/test_options %D%/test_secrets %D%/test_yaml

tests_unit_config_test_config_SOURCES = %D%/test_config.c %D%/expect.h
tests_unit_config_test_config_LDADD = libwm-config.a libwm-base.a $(YAML_LIBS) $(CMOCKA_LIBS) $(PTHREAD_LIBS)
tests_unit_config_test_options_SOURCES = %D%/test_options.c %D%/expect.h
tests_unit_config_test_options_LDADD = libwm-config.a libwm-base.a $(YAML_LIBS) $(CMOCKA_LIBS) $(PTHREAD_LIBS)
tests_unit_config_test_secrets_SOURCES = %D%/test_secrets.c %D%/expect.h
tests_unit_config_test_secrets_LDADD = libwm-config.a libwm-base.a $(YAML_LIBS) $(CMOCKA_LIBS) $(PTHREAD_LIBS)
tests_unit_config_test_yaml_SOURCES = %D%/test_yaml.c %D%/expect.h
tests_unit_config_test_yaml_LDADD = libwm-config.a libwm-base.a $(YAML_LIBS) $(CMOCKA_LIBS) $(PTHREAD_LIBS)
