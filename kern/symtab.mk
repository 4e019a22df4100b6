# Function names and line numbers in the kernel, for backtraces. The kernel is linked twice: without a
# table as $(O)/kern/kernel.pass1, then with one that describes the first. The table lies after all other
# read-only data, so no code moves; $(call check-symtab,FINAL) makes sure of that.

$(O)/kern/symtab.S: $(O)/kern/kernel.pass1 conf/mksymtab
	@echo "  GEN     $@"
	$(V)$(PYTHON) conf/mksymtab $< > $@

$(O)/kern/symtab.o: $(O)/kern/symtab.S
	@echo "  AS      $@"
	$(V)$(CC) $(KERN_CFLAGS) -g0 -c -o $@ $<

check-symtab = $(PYTHON) conf/mksymtab --same $(O)/kern/kernel.pass1 $(1)
