check_PROGRAMS += %D%/test_render %D%/test_server
UNIT_TESTS += %D%/test_render %D%/test_server
tests_unit_admin_test_render_SOURCES = %D%/test_render.c
tests_unit_admin_test_render_LDADD = libwm-admin.a libwm-state.a libwm-base.a \
	$(CMOCKA_LIBS) $(MHD_LIBS) $(CURL_LIBS) $(CJSON_LIBS) $(CRYPTO_LIBS) $(SQLITE_LIBS) $(PTHREAD_LIBS)
tests_unit_admin_test_server_SOURCES = %D%/test_server.c
tests_unit_admin_test_server_LDADD = $(tests_unit_admin_test_render_LDADD) libwm-pipeline.a
