noinst_LIBRARIES += libwm-target-sqlite.a
libwm_target_sqlite_a_SOURCES = \
	%D%/connection.c \
	%D%/create_sql.c \
	%D%/ensure.c \
	%D%/rebuild.c \
	%D%/shape.c \
	%D%/sqlite.c \
	%D%/sqlite.h \
	%D%/statements.c \
	%D%/storage.c \
	%D%/write.c
