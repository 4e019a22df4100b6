# gdb's start on a guest (make gdb-guest): conf/gdbcmds follows the processor's mode, and has the commands that
# `help jos` lists. Those that only hOS can answer say so.
set confirm off
set pagination off
# The packet with one register names it by a number, which in 32-bit code is not the stub's.
set remote set-register-packet off
python
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, "conf")
import gdbcmds
gdbcmds.on_guest()
end
