#!/bin/bash
# All checks, one after another; the last line sums up what they said.
# Called by `make check`, which has built the libraries that AIO_TEST_OURS names.
set -u
cd "$(dirname "$0")/.." || exit 1
cargo=${CARGO:-cargo}
log=$(mktemp)
bad=$(mktemp)
trap 'rm -f "$log" "$bad"' EXIT
passed=0 failed=0 skipped=0
summary=()
began=$SECONDS

# step NAME COMMAND...: counts what the command's closing lines count, and one
# failure if it failed without counting any. Without such lines it is one check.
step() {
	local name=$1 start=$SECONDS status p f s
	shift
	printf '\n== %s\n' "$name"
	"$@" 2>&1 | tee "$log"
	status=${PIPESTATUS[0]}
	read -r p f s < <(awk '
		/^test result: / { p += $4; f += $6; s += $8 }
		/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5 }
		END { print p + 0, f + 0, s + 0 }' "$log")
	if [ "$status" -ne 0 ]; then
		[ "$f" -gt 0 ] || f=1
		# Said again at the end: a long output may be read from there.
		{
			printf '\n== %s failed\n' "$name"
			awk '/^FAIL/ { on = 1 } /^(ok|skip) / { on = 0 } on' "$log" | grep . || tail -n 60 "$log"
		} >>"$bad"
	elif [ $((p + f + s)) -eq 0 ]; then
		p=1
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	summary+=("$(printf '%-22s %6d %6d %6d %6d s' "$name" "$p" "$f" "$s" $((SECONDS - start)))")
}

# The slow ones come last; conformance reads what c_tests found.
slow=(c_tests conformance fio apps)
quick=()
for file in tests/*.rs; do
	test=$(basename "$file" .rs)
	[[ " ${slow[*]} " == *" $test "* ]] || quick+=(--test "$test")
done

step format "$cargo" fmt --check
step clippy "$cargo" clippy --quiet --all-targets --all-features -- -D warnings
step 'unit tests' "$cargo" test --quiet --lib --bins --features cli
step gates "$cargo" test --quiet --no-fail-fast "${quick[@]}"
step benchmark make --no-print-directory bench-smoke CARGO="$cargo"
for test in "${slow[@]}"; do
	step "$test" "$cargo" test --quiet --test "$test"
done
# Both engines side by side. The seed is fixed: new ones are for make fuzz-diff.
step fuzz-diff env FUZZ_SECONDS=180 FUZZ_SEED=1 FUZZ_STEPS=5000 "$cargo" test --quiet --test fuzz_diff

cat "$bad"
printf '\n%-22s %6s %6s %6s\n' '' passed failed skipped
printf '%s\n' "${summary[@]}"
printf '%-22s %30d s\n\n' 'in all' $((SECONDS - began))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
