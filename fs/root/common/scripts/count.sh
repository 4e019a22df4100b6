#!/bin/sh
# Counts lines, words and characters of the sample texts.
cat /text/pages.txt /text/exits.txt | wc
