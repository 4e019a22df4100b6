"""Runs the project's images in emulators and talks to them over the serial line.

machine.py has what a caller needs (Config, Machine); bochs.py and qemu.py know one emulator
each; console.py waits for text; session.py types commands at a shell; grade.py is the grader.
Python's standard library only.
"""
