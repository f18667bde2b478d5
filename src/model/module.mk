noinst_LIBRARIES += libwm-model.a
libwm_model_a_SOURCES = \
	%D%/order.c \
	%D%/relation.c \
	%D%/type.c \
	%D%/type_named.c \
	%D%/type_table.c \
	%D%/type_table.h \
	%D%/value.c
