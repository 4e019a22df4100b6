# The kernel of `make race` (RACE=1, with an output folder of its own): the compiler calls the race detector for
# each access to memory. All of the kernel is compiled like that but the detector itself.

RACE_SRCS := $(wildcard kern/race/*.c)
RACE_LOOKED_AT := $(patsubst %.c,$(O)/kern/objs/%.o,$(filter %.c,$(KERN_SRCS)))
KERN_OBJS += $(RACE_SRCS:%.c=$(O)/kern/objs/%.o)

# Volatile accesses are told apart from plain ones; calls and returns are not of interest. Fences mean nothing to
# watchpoints (-Wno-tsan).
race-gcc-flag = --param $(1)
race-clang-flag = -mllvm -$(1)
RACE_COMPILER := $(if $(findstring clang,$(shell $(CC) --version)),clang,gcc)
RACE_CFLAGS := -fsanitize=thread $(call race-$(RACE_COMPILER)-flag,tsan-distinguish-volatile=1) \
	$(call race-$(RACE_COMPILER)-flag,tsan-instrument-func-entry-exit=0) -Wno-tsan
$(RACE_LOOKED_AT): private KERN_CFLAGS += $(RACE_CFLAGS)
$(RACE_LOOKED_AT): kern/race/race.mk

# Calls that come to the detector first: block functions, which are assembly, and the ends.
KERN_LINK += $(patsubst %,--wrap=%,memcpy memmove memset cons_panic_mode platform_poweroff)
