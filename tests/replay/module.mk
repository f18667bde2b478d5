check_PROGRAMS += %D%/replay
UNIT_TESTS += %D%/compare
tests_replay_replay_SOURCES = %D%/replay.c
tests_replay_replay_LDADD = libwm-source.a libwm-model.a libwm-base.a $(PTHREAD_LIBS)
