check_PROGRAMS += %D%/test_message %D%/test_alerts
UNIT_TESTS += %D%/test_message %D%/test_alerts
tests_unit_alert_test_message_SOURCES = %D%/test_message.c
tests_unit_alert_test_message_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/alert
tests_unit_alert_test_message_LDADD = libwm-alert.a libwm-config.a libwm-http.a libwm-base.a \
	$(CMOCKA_LIBS) $(CURL_LIBS) $(CJSON_LIBS) $(YAML_LIBS) $(PTHREAD_LIBS)
tests_unit_alert_test_alerts_SOURCES = %D%/test_alerts.c
tests_unit_alert_test_alerts_LDADD = $(tests_unit_alert_test_message_LDADD)
