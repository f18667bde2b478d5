dnl SPDX-License-Identifier: PostgreSQL

dnl WM_TRY_FLAG(FLAG, IF-YES, IF-NO): does the compiler take it without a word?
AC_DEFUN([WM_TRY_FLAG],
[AS_VAR_PUSHDEF([cache], [wm_cv_flag_$1])dnl
AC_CACHE_CHECK([whether $CC takes $1], [cache],
  [wm_saved_cflags=$CFLAGS
   CFLAGS="$CFLAGS -Werror $1"
   AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
   CFLAGS=$wm_saved_cflags])
AS_VAR_IF([cache], [yes], [$2], [$3])
AS_VAR_POPDEF([cache])])

dnl WM_ADD_CFLAGS(FLAGS), WM_ADD_LDFLAGS(FLAGS): those of them that work.
AC_DEFUN([WM_ADD_CFLAGS],
[m4_foreach_w([wm_flag], [$1],
  [WM_TRY_FLAG(m4_defn([wm_flag]), [AS_VAR_APPEND([WM_CFLAGS], [" ]m4_defn([wm_flag])["])])
])])
AC_DEFUN([WM_ADD_LDFLAGS],
[m4_foreach_w([wm_flag], [$1],
  [WM_TRY_FLAG(m4_defn([wm_flag]), [AS_VAR_APPEND([WM_LDFLAGS], [" ]m4_defn([wm_flag])["])])
])])

dnl WM_NEED_CFLAGS(OPTION, FLAGS): all of them, or configure stops; OPTION is who asked.
AC_DEFUN([WM_NEED_CFLAGS],
[AC_MSG_CHECKING([whether $CC takes $2])
wm_saved_cflags=$CFLAGS
CFLAGS="$CFLAGS $2"
AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
  [AC_MSG_RESULT([yes])],
  [AC_MSG_RESULT([no])
   AC_MSG_ERROR([$1: $CC cannot build with $2])])
CFLAGS=$wm_saved_cflags
AS_VAR_APPEND([WM_CFLAGS], [" $2"])])
