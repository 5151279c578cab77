#!/bin/sh
# Double click on macOS: see start.sh.
exec /bin/sh "$(dirname -- "$0")/start.sh"
