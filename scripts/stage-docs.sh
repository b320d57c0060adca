#!/bin/sh
# Has a pgam write its manual pages and completions: stage-docs.sh PGAM FOLDER.
set -eu

pgam=$1 out=$2
mkdir -p "$out/man" "$out/completion"
rm -f "$out"/man/* "$out"/completion/*
"$pgam" man "$out/man"
gzip -9n "$out"/man/*
for shell in bash zsh fish; do
	"$pgam" completion "$shell" >"$out/completion/pgam.$shell"
done
