"""hOS in QEMU with KVM, on a machine that has neither: Linux with KVM in an emulator that has VT-x."""
