#!/usr/bin/env bash
# Over the last 40 commits: no run of .ci/run takes longer than it may, and each slower stage comes again soon.
set -euo pipefail
cd "$(dirname "$0")/../.."
git rev-parse -q --verify HEAD~40 >/dev/null 2>&1 || { echo 'skipped: no history of 40 commits'; exit 77; }

for commit in $(git rev-list --first-parent -40 HEAD); do bash .ci/run --plan "$commit"; done |
  awk -v names="$(sed -n "/^slow=/,/^)/s/^ *'\([a-z]*\):.*/\1/p" .ci/run | tr '\n' ' ')" '
    BEGIN { count = split(names, stage, " "); if (count < 7) { print "no slower stages found in .ci/run"; bad = 1 } }
    $NF > 75 { print "a run of " $NF " minutes: " $0; bad = 1 }
    {
      for (i = 1; i <= count; ++i) {
        left[i] = index(" " $0, " " stage[i] " ") ? 0 : left[i] + 1
        if (left[i] > 4) { print stage[i] " is left out " left[i] " times in a row"; bad = 1 }
      }
    }
    END { print NR " runs planned"; exit bad || NR != 40 }'
