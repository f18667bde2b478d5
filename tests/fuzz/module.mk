# A fuzz target is a .c with LLVMFuzzerTestOneInput. Linked with standalone.c it replays its
# corpus in every `make check`; with --enable-fuzzing libFuzzer drives it (`make fuzz`). What a
# target finds goes into its corpus, corpus/NAME of fuzz_NAME.c, beside the fix.

check_PROGRAMS += %D%/replay_yaml
UNIT_TESTS += %D%/replay_yaml
tests_fuzz_replay_yaml_SOURCES = %D%/fuzz_yaml.c %D%/fuzz.h %D%/standalone.c
tests_fuzz_replay_yaml_CPPFLAGS = $(AM_CPPFLAGS) -DWM_CORPUS='"%D%/corpus/yaml"'
tests_fuzz_replay_yaml_LDADD = libwm-config.a libwm-base.a $(YAML_LIBS) $(PTHREAD_LIBS)

if FUZZING
EXTRA_PROGRAMS += %D%/fuzz_yaml
tests_fuzz_fuzz_yaml_SOURCES = %D%/fuzz_yaml.c %D%/fuzz.h
tests_fuzz_fuzz_yaml_LDADD = $(tests_fuzz_replay_yaml_LDADD)
tests_fuzz_fuzz_yaml_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
endif

check_PROGRAMS += %D%/replay_pgoutput
UNIT_TESTS += %D%/replay_pgoutput
tests_fuzz_replay_pgoutput_SOURCES = %D%/fuzz_pgoutput.c %D%/fuzz.h %D%/standalone.c
tests_fuzz_replay_pgoutput_CPPFLAGS = $(AM_CPPFLAGS) -DWM_CORPUS='"%D%/corpus/pgoutput"'
tests_fuzz_replay_pgoutput_LDADD = libwm-source.a libwm-model.a libwm-base.a $(PTHREAD_LIBS)

if FUZZING
EXTRA_PROGRAMS += %D%/fuzz_pgoutput
tests_fuzz_fuzz_pgoutput_SOURCES = %D%/fuzz_pgoutput.c %D%/fuzz.h
tests_fuzz_fuzz_pgoutput_LDADD = $(tests_fuzz_replay_pgoutput_LDADD)
tests_fuzz_fuzz_pgoutput_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
endif

check_PROGRAMS += %D%/replay_stream
UNIT_TESTS += %D%/replay_stream
tests_fuzz_replay_stream_SOURCES = %D%/fuzz_stream.c %D%/fuzz.h %D%/standalone.c
tests_fuzz_replay_stream_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/src -DWM_CORPUS='"%D%/corpus/stream"'
tests_fuzz_replay_stream_LDADD = libwm-source.a libwm-journal.a libwm-model.a libwm-base.a $(ZLIB_LIBS) $(PTHREAD_LIBS)

if FUZZING
EXTRA_PROGRAMS += %D%/fuzz_stream
tests_fuzz_fuzz_stream_SOURCES = %D%/fuzz_stream.c %D%/fuzz.h
tests_fuzz_fuzz_stream_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/src
tests_fuzz_fuzz_stream_LDADD = $(tests_fuzz_replay_stream_LDADD)
tests_fuzz_fuzz_stream_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
endif

check_PROGRAMS += %D%/replay_journal
UNIT_TESTS += %D%/replay_journal
tests_fuzz_replay_journal_SOURCES = %D%/fuzz_journal.c %D%/fuzz.h %D%/standalone.c
tests_fuzz_replay_journal_CPPFLAGS = $(AM_CPPFLAGS) -DWM_CORPUS='"%D%/corpus/journal"'
tests_fuzz_replay_journal_LDADD = libwm-journal.a libwm-base.a $(ZLIB_LIBS) $(PTHREAD_LIBS)

if FUZZING
EXTRA_PROGRAMS += %D%/fuzz_journal
tests_fuzz_fuzz_journal_SOURCES = %D%/fuzz_journal.c %D%/fuzz.h
tests_fuzz_fuzz_journal_LDADD = $(tests_fuzz_replay_journal_LDADD)
tests_fuzz_fuzz_journal_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
endif

check_PROGRAMS += %D%/replay_http
UNIT_TESTS += %D%/replay_http
tests_fuzz_replay_http_SOURCES = %D%/fuzz_http.c %D%/fuzz.h %D%/standalone.c
tests_fuzz_replay_http_CPPFLAGS = $(AM_CPPFLAGS) -DWM_CORPUS='"%D%/corpus/http"'
tests_fuzz_replay_http_LDADD = libwm-admin.a libwm-pipeline.a libwm-state.a libwm-base.a \
	$(MHD_LIBS) $(CURL_LIBS) $(CJSON_LIBS) $(CRYPTO_LIBS) $(SQLITE_LIBS) $(PTHREAD_LIBS)

if FUZZING
EXTRA_PROGRAMS += %D%/fuzz_http
tests_fuzz_fuzz_http_SOURCES = %D%/fuzz_http.c %D%/fuzz.h
tests_fuzz_fuzz_http_LDADD = $(tests_fuzz_replay_http_LDADD)
tests_fuzz_fuzz_http_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
endif

check_PROGRAMS += %D%/replay_answer
UNIT_TESTS += %D%/replay_answer
tests_fuzz_replay_answer_SOURCES = %D%/fuzz_answer.c %D%/fuzz.h %D%/standalone.c
tests_fuzz_replay_answer_CPPFLAGS = $(AM_CPPFLAGS) -DWM_CORPUS='"%D%/corpus/answer"'
tests_fuzz_replay_answer_LDADD = libwm-http.a libwm-base.a $(CURL_LIBS) $(PTHREAD_LIBS)

if FUZZING
EXTRA_PROGRAMS += %D%/fuzz_answer
tests_fuzz_fuzz_answer_SOURCES = %D%/fuzz_answer.c %D%/fuzz.h
tests_fuzz_fuzz_answer_LDADD = $(tests_fuzz_replay_answer_LDADD)
tests_fuzz_fuzz_answer_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
endif
