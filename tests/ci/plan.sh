#!/usr/bin/env bash
# No run of .ci/run takes longer than it may, and each slower stage comes again soon: over the runs that this history tells of, and as
# if every commit, every fourth and every seventh had been one.
set -euo pipefail
cd "$(dirname "$0")/../.."
git rev-parse -q --verify HEAD~40 >/dev/null 2>&1 || { echo 'skipped: no history of 40 commits'; exit 77; }

names=$(sed -n "/^slow=/,/^)/s/^ *'\([a-z]*\):.*/\1/p" .ci/run | tr '\n' ' ')
for every in 1 4 7; do
  commits=$(git rev-list --first-parent HEAD | awk -v every="$every" 'NR % every == 1 % every && ++count <= 40' | tac)
  # shellcheck disable=SC2086
  bash .ci/run --plans $commits |
    awk -v names="$names" -v every="$every" '
      BEGIN { count = split(names, stage, " "); if (count < 7) { print "no slower stages found in .ci/run"; bad = 1 } }
      $NF > 75 { print "a run of " $NF " minutes: " $0; bad = 1 }
      {
        for (i = 1; i <= count; ++i) {
          left[i] = index(" " $0, " " stage[i] " ") ? 0 : left[i] + 1
          if (left[i] > 4) { print stage[i] " is left out " left[i] " times in a row"; bad = 1 }
        }
      }
      END { print NR " runs planned, one at every " every ". commit"; exit bad || NR < 20 }'
done

# The plan of a commit is the last of those of the runs before it, and its own.
[ "$(bash .ci/run --plan | wc -w)" -gt 1 ]
