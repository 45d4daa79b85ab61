# Runs a command as root; a service that its packages bring is not started meanwhile.
#
#   sh -c <this> install <hook> <command> <word>...
#
# Debian asks the program <hook> (policy-rc.d) before it starts a service; 101 means no. One that is
# there already is left as it is: it is somebody's decision. Ours goes with the command, and when this
# shell is killed before it can take it away, the hook notices, says yes, and removes itself.
set -eu
hook=$1
shift
mark='# Made by `cargo dev` while it installs packages.'
ours=
tidy() { if [ -n "$ours" ]; then rm -f "$hook"; fi; }
trap tidy EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# What a killed run has left goes away by being asked.
if [ -f "$hook" ] && grep -qxF "$mark" "$hook"; then "$hook" || true; fi

# The 22nd field of stat: with it, an id that was given to another process is no longer this one.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
text="#!/bin/sh
$mark
now=\$(sed 's/.*) //' /proc/$$/stat 2>/dev/null | cut -d ' ' -f 20)
if [ \"\$now\" = '$(started $$)' ]; then exit 101; fi
rm -f \"\$0\"
exit 0"
umask 022
# Noclobber: the file is made, or it is somebody else's.
if (set -C && printf '%s\n' "$text" > "$hook") 2>/dev/null; then
  ours=yes
  chmod 755 "$hook"
fi
"$@"
