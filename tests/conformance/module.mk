check_PROGRAMS += %D%/test_conformance
tests_conformance_test_conformance_SOURCES = \
	%D%/build.c \
	%D%/cases_durable.c \
	%D%/cases_fresh.c \
	%D%/cases_life.c \
	%D%/cases_pass.c \
	%D%/cases_shape.c \
	%D%/cases_types.c \
	%D%/cases_update.c \
	%D%/cases_write.c \
	%D%/conformance.h \
	%D%/main.c \
	%D%/postgres_peer.c \
	%D%/sqlite_peer.c \
	%D%/zoho_peer.c
tests_conformance_test_conformance_LDADD = \
	libwm-target-sqlite.a libwm-target-postgres.a libwm-target-zoho.a libwm-target.a libwm-pg.a libwm-config.a \
	libwm-http.a libwm-model.a libwm-base.a \
	$(CMOCKA_LIBS) $(CURL_LIBS) $(CJSON_LIBS) $(SQLITE_LIBS) $(PQ_LIBS) $(YAML_LIBS) $(PTHREAD_LIBS)

# The program by way of a script that starts a server for it.
UNIT_TESTS += %D%/run
EXTRA_DIST += %D%/run tests/with-postgres
