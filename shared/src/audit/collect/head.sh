#!/bin/sh
# Gathers what check_pptp_host audits on a gateway and writes it to standard
# output as a tar. Nothing is installed or changed, and no secret goes in.
#
#   check_pptp_host --collect-script > collect.sh
#   ssh gateway sh -s < collect.sh > gateway.tar
#   mkdir gateway && tar -xf gateway.tar -C gateway
#   check_pptp_host --root gateway
#
# Run it as root: what others may not read is missing, and the audit says so.
umask 077
set -f
LC_ALL=C
PATH=/usr/sbin:/sbin:/usr/bin:/bin
export LC_ALL PATH
# The directory that stands for /.
ROOT=${PPTP_MONITOR_ROOT:-}
RELEASE=$(cat "$ROOT/proc/sys/kernel/osrelease")

