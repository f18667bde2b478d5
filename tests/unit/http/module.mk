check_PROGRAMS += %D%/test_http
UNIT_TESTS += %D%/test_http
tests_unit_http_test_http_SOURCES = %D%/test_http.c
tests_unit_http_test_http_LDADD = libwm-http.a libwm-base.a $(CMOCKA_LIBS) $(CURL_LIBS) $(PTHREAD_LIBS)
