#!/bin/sh
# A short tour of the shell: output, pipes, redirection, files.
echo "== programs on this disk"
ls /bin | wc
echo "== a file is written, copied and read back"
echo one line > /tmp/tour
echo and another >> /tmp/tour
cp /tmp/tour /tmp/tour.copy
cat < /tmp/tour.copy
rm /tmp/tour /tmp/tour.copy
echo "== the environments that run right now"
ps
