#!/bin/bash
# make demo: the example, and fio on both engines beside the system's libaio.
# demo.sh BUILD: where `make all` has put the libraries. DEMO_SHORT=1: little of
# each, to see that it works.
set -eu
cd "$(dirname "$0")/.."
build=$(realpath "${1:-build}")
library=$build/preload/libaio-rs-preload.so
work=$(mktemp -d "$build/demo.XXXXXX") # on the checkout's file system
trap 'rm -rf "$work"' EXIT
written=16m read=128m runtime=1s
[ -z "${DEMO_SHORT:-}" ] || written=1m read=4m runtime=50ms
calls=io_setup,io_submit,io_getevents,io_pgetevents,io_cancel,io_destroy

have() { command -v "$1" >/dev/null 2>&1; }
title() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# with kernel|uring|threads COMMAND...: on the system's libaio or on ours.
with() {
	local lib=$1
	shift
	case $lib in
	kernel) "$@" ;;
	*) env LD_PRELOAD="$library" AIO_RS_ENGINE="$lib" "$@" ;;
	esac
}

title "1. A program linked with -laio-rs"
if have "${CC:-cc}"; then
	"${CC:-cc}" -O2 -Wall -I include c-tests/example.c -o "$work/example" \
		-L "$build/lib" -laio-rs -Wl,-rpath,"$build/lib"
	"$work/example" "$work/example.dat"
else
	echo "there is no C compiler"
fi

title "2. An unmodified fio, LD_PRELOAD=libaio-rs-preload.so"
if ! have fio; then
	echo "there is no fio"
	exit 0
fi

verify=(--ioengine=libaio --directory="$work" --name=verify --rw=randrw --bs=4k --size="$written"
	--iodepth=32 --direct=1 --numjobs=2 --verify=crc32c --verify_fatal=1
	--verify_state_save=0 --eta=never --minimal)
for engine in uring threads; do
	with $engine fio "${verify[@]}" >"$work/out" || {
		cat "$work/out"
		echo "$engine: crc32c verification FAILED"
		exit 1
	}
	echo "$engine: 2 x ${written%m} MiB written at random and read back, every crc32c is right"
done

# count LIBRARY: the AIO system calls of that fio. strace is to see the program's
# preloaded library, not to load it.
count() {
	local preload=()
	[ "$1" = kernel ] || preload=(-E LD_PRELOAD="$library" -E AIO_RS_ENGINE="$1")
	strace -f -qq --signal=none -e trace=$calls "${preload[@]}" -o "$work/strace" \
		fio "${verify[@]}" --numjobs=1 --size=1m >"$work/out" || return 1
	grep -c io_ "$work/strace" || true
}
if have strace && kernel=$(count kernel); then
	echo "AIO system calls that strace sees in such a fio:"
	echo "  on the system's libaio  $kernel"
	for engine in uring threads; do
		found=$(count $engine)
		printf '  on aio-rs, %-12s %s\n' "$engine" "$found"
		[ "$found" = 0 ] || {
			echo "there must be none:"
			head -n 3 "$work/strace"
			exit 1
		}
	done
else
	# fs.aio-nr counts the requests that all contexts of the host have room for.
	before=$(cat /proc/sys/fs/aio-nr) most=0
	with uring fio "${verify[@]}" >/dev/null &
	while kill -0 $! 2>/dev/null; do
		now=$(cat /proc/sys/fs/aio-nr)
		[ "$now" -le "$most" ] || most=$now
		sleep 0.02
	done
	echo "strace cannot be used here; fs.aio-nr was $before before and at most $most during fio"
	[ "$most" -le "$before" ] || exit 1
fi

title "3. The same fio job on the system's libaio and on both engines"
file=$work/speed.dat
fio --name=fill --filename="$file" --rw=write --bs=1m --size="$read" --end_fsync=1 \
	--minimal --eta=never >/dev/null
# iops LIBRARY RW DEPTH DIRECT
iops() {
	with "$1" fio --ioengine=libaio --name=speed --filename="$file" --size="$read" --rw="$2" \
		--bs=4k --iodepth="$3" --direct="$4" --time_based --runtime="$runtime" --ramp_time=200ms \
		--invalidate=0 --minimal --eta=never | awk -F';' '{ printf "%.1f k", ($8 + $49) / 1000; exit }'
}
line() { printf '%-36s %12s %12s %12s\n' "$@"; }
line '4 KiB, IOPS' libaio uring threads
line '------------------------------------' ------------ ------------ ------------
row() { # row LABEL RW DEPTH DIRECT
	line "$1" "$(iops kernel "$2" "$3" "$4")" "$(iops uring "$2" "$3" "$4")" \
		"$(iops threads "$2" "$3" "$4")"
}
row 'cached random reads, depth 1' randread 1 0
row 'cached random reads, depth 32' randread 32 0
row 'cached random writes, depth 32' randwrite 32 0
row 'direct random reads, depth 1' randread 1 1
row 'direct random reads, depth 32' randread 32 1
row 'direct random writes, depth 32' randwrite 32 1
