#!/bin/sh
# Builds a fuzz target with clang and runs it over its corpus and a number of changed inputs.
#
#	libfuzzer.sh SOURCE BUILD NAME RUNS
#
# REPRISE_TEST_REPEAT multiplies RUNS. Plain TAP. What libFuzzer finds is left in BUILD as crash-*.
set -u
source=$1
build=$2
name=$3
runs=$(($4 * ${REPRISE_TEST_REPEAT:-1}))

build_target()
{
	[ -f "$build/build.ninja" ] || CC=clang CFLAGS='' LDFLAGS='' meson setup "$build" "$source" -Dfuzz=true ||
		return 1
	ninja -C "$build" "tests/fuzz/fuzz_$name"
}

# The targets share a build directory: one builds after the other, to run side by side.
build_alone()
{
	exec 9>"$build.lock" && flock 9 || return 1
	build_target 9>&-
}

if ! command -v clang >/dev/null; then
	echo "1..0 # SKIP there is no clang"
	exit
fi
echo "1..2"
if output=$(build_alone 2>&1); then
	echo "ok 1 - builds with clang"
else
	echo "$output" | tail -n 20 | sed 's/^/# /'
	echo "not ok 1 - builds with clang"
	echo "not ok 2 - $name: $runs runs"
	exit 1
fi

# New inputs go to a copy of the corpus.
corpus=$(mktemp -d) || exit 1
trap 'rm -rf "$corpus"' EXIT
if output=$("$build/tests/fuzz/fuzz_$name" -runs="$runs" -seed=1 -timeout=30 -rss_limit_mb=1024 \
	-max_len=8192 -print_final_stats=1 -artifact_prefix="$build/" "$corpus" \
	"$source/tests/fuzz/corpus/$name" 2>&1); then
	echo "$output" | tail -n 6 | sed 's/^/# /'
	echo "ok 2 - $name: $runs runs"
else
	echo "$output" | tail -n 60 | sed 's/^/# /'
	echo "not ok 2 - $name: $runs runs"
	exit 1
fi
