systemd_units = %D%/walmill.service %D%/walmill@.service
CLEANFILES += $(systemd_units)
EXTRA_DIST += $(systemd_units:=.in) %D%/settings.in

if SYSTEMD_UNITS
nodist_systemdsystemunit_DATA = $(systemd_units)
endif

$(systemd_units): %D%/settings.in
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SED) -e '/^@settings@$$/{r $(srcdir)/%D%/settings.in' -e 'd;}' \
		-e 's,@bindir[@],$(bindir),g' -e 's,@confdir[@],$(confdir),g' \
		$(srcdir)/$@.in >$@.tmp && mv $@.tmp $@
%D%/walmill.service: %D%/walmill.service.in
%D%/walmill@.service: %D%/walmill@.service.in
