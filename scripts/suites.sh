#!/bin/bash
# Other people's test suites of AIO, on the system's libaio and on aio-rs: one
# line a program, and a closing line. Called by `make check-suites`, which has
# built the libraries in AIO_TEST_OURS. Sources are fetched, or copied from where
# these say, into a temporary directory, and built and run there:
#   LIBAIO=    libaio's sources       (else: the distribution's, by apt-get source)
#   XFSTESTS=  xfstests' sources      (else: git clone of its home)
#   LTP=       an installed LTP       (else: /opt/ltp)
#   SUITES=    words; only programs with one of them in their name
# A program that fails on the system's libaio, or has not come to an end there
# after 90 seconds, is skipped: it says nothing of aio-rs.
# shellcheck disable=SC2317 # prepare is called by try
set -u
cd "$(dirname "$0")/.." || exit 1
ours=$(realpath "${AIO_TEST_OURS:-build}")
xfstests_home=https://git.kernel.org/pub/scm/fs/xfs/xfstests-dev.git
cc=${CC:-cc}
ulimit -c 0
work=$(mktemp -d "${TMPDIR:-/var/tmp}/aio-rs-suites-XXXXXX")
cleanup() {
	cd /
	umount "$work"/mnt.* "$work"/mnt.*/* 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
passed=0 failed=0 skipped=0
"$cc" -O2 -o "$work/deny_uring" c-tests/tools/deny_uring.c || exit 1

line() { printf '%-5s %-42s %s\n' "$@"; }
skip() { # skip NAME REASON
	skipped=$((skipped + 1))
	line skip "$1" "$2"
}
fail() { # fail NAME REASON
	failed=$((failed + 1))
	line FAIL "$1" "$2"
}

# on WAY COMMAND...: as the kernel has it, or with aio-rs; output in $work/out.
on() {
	local way=$1
	shift
	case $way in
	kernel) set -- env AIO_TEST_LIB=kernel "$@" ;;
	uring | threads) set -- env LD_PRELOAD="$ours/preload/libaio-rs-preload.so" AIO_RS_ENGINE="$way" "$@" ;;
	drop-in) set -- env LD_LIBRARY_PATH="$ours/dropin" "$@" ;;
	refused) set -- "$work/deny_uring" env LD_PRELOAD="$ours/preload/libaio-rs-preload.so" "$@" ;;
	esac
	{ timeout -k 5 90 "$@"; } >"$work/out" 2>&1 </dev/null
}

# once WAY COMMAND...: in $dir, empty but for what `prepare` puts there.
once() {
	find "$dir" -mindepth 1 -delete
	(cd "$dir" && prepare && on "$@")
}

# try NAME SKIP COMMAND...: SKIP is the exit code that says "not here".
try() {
	local name=$1 skip=$2 way status good='' bad=''
	shift 2
	[ -z "${SUITES:-}" ] || grep -qF "$(tr ' ' '\n' <<<"$SUITES")" <<<"$name" || return
	# The kernel's contexts are everybody's: one may be lacking just now.
	for _ in 1 2 3; do
		once kernel "$@"
		status=$?
		case $status in 0 | "$skip") break ;; esac
	done
	if [ $status -ne 0 ]; then
		skip "$name" "exit $status on the system's libaio: $(tail -n 1 "$work/out")"
		return
	fi
	for way in uring threads drop-in refused; do
		if once "$way" "$@"; then
			good+=" $way"
		else
			bad+=" $way"
			cp "$work/out" "$work/out.bad"
		fi
	done
	if [ -z "$bad" ]; then
		passed=$((passed + 1))
		line ok "$name" "${good# }"
	else
		fail "$name" "${bad# }"
		tail -n 10 "$work/out.bad" | sed 's/^/      /'
	fi
}

libaio_sources() {
	if [ -n "${LIBAIO:-}" ]; then
		cp -r "$LIBAIO" "$work/libaio"
		return
	fi
	# The sources of what is installed, from where packages come from anyway.
	local apt=$work/apt
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
	sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$apt/sources.list" 2>/dev/null
	for file in /etc/apt/sources.list.d/*.sources; do
		[ ! -e "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" >"$apt/parts/${file##*/}"
	done
	set -- -q -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts="$apt/parts" \
		-o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache"
	(
		cd "$work" && apt-get "$@" update && apt-get "$@" source libaio
		mv libaio-*/ libaio
	) >"$work/out" 2>&1
}

libaio_suite() {
	prepare() {
		mkdir testdir testdir.ext2 testdir.enospc
		(umask 077 && echo test >testdir/rofile && echo test >testdir/wofile && echo test >testdir/rwfile)
		chmod 400 testdir/rofile
		chmod 200 testdir/wofile
	}
	if ! libaio_sources || [ ! -d "$work/libaio/harness" ]; then
		skip "libaio's harness" "no sources: $(grep -m 1 '^E:' "$work/out")"
		return
	fi
	local case type image program
	dir=$work/libaio.d
	mkdir "$dir"
	for case in "$work"/libaio/harness/cases/*.t; do
		case=${case##*/}
		program=$work/libaio/harness/cases/${case%.t}
		# -w: the cases' names and files are what counts here.
		if ! (cd "$work/libaio/harness" && "$cc" -O2 -w -I../src -DTEST_NAME="\"cases/$case\"" \
			-o "$program" main.c -laio -lpthread) >"$work/out" 2>&1; then
			fail "libaio $case" "is not built: $(grep -m 1 error "$work/out")"
			continue
		fi
		case $case in
		8.t | 10.t) ;; # want file systems of their own
		*) try "libaio $case" 3 "$program" ;;
		esac
	done
	# A file of the greatest size; a file system with room for 64 KiB.
	truncate -s 10M "$work/libaio/ext2.img" && mkfs.ext2 -q -b 4096 "$work/libaio/ext2.img"
	for case in 8:ext2:ext2.img 10:enospc:harness/ext2-enospc.img; do
		IFS=: read -r case type image <<<"$case"
		mkdir -p "$work/mnt.$type/testdir.$type"
		if mount -o loop "$work/libaio/$image" "$work/mnt.$type/testdir.$type" 2>/dev/null; then
			try "libaio $case.t" 3 env -C "$work/mnt.$type" "$work/libaio/harness/cases/$case"
			umount "$work/mnt.$type/testdir.$type"
		else
			skip "libaio $case.t" 'no ext2 (needs root, loop devices and mkfs.ext2)'
		fi
	done
}

xfstests_suite() {
	local all=$work/xfstests/src/aio-dio-regress program source name
	if [ -n "${XFSTESTS:-}" ]; then
		cp -r "$XFSTESTS" "$work/xfstests"
	else
		timeout 300 git clone -q --depth 1 $xfstests_home "$work/xfstests" >"$work/out" 2>&1
	fi
	if [ ! -d "$all" ]; then
		skip "xfstests' aio-dio-regress" "no sources: $(tail -n 1 "$work/out")"
		return
	fi
	# Their hours are our seconds.
	sed -i -e 's/^\(#define SECONDS\) .*/\1 10/' -e 's/^\(#define LOOP_SECONDS\) .*/\1 3/' \
		-e 's/delta.tv_sec < 60/delta.tv_sec < 5/' "$all"/*.c
	dir=$work/xfstests.d
	mkdir "$dir"
	for source in "$all"/*.c; do
		program=${source%.c}
		name=xfstests\ ${program##*/}
		if ! "$cc" -O2 -w -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -o "$program" "$source" -laio -lpthread \
			>"$work/out" 2>&1; then
			fail "$name" "is not built: $(grep -m 1 error "$work/out")"
			continue
		fi
		prepare() { :; }
		case $name in
		*write-fallocate-race)
			try "$name" 77 sh -c "'$program' file 200 && [ \$('$program' file 200 | grep -c passed.) = 200 ]"
			;;
		*cow-race)
			mkdir -p "$work/mnt.xfs"
			if truncate -s 512M "$work/xfs.img" && mkfs.xfs -q "$work/xfs.img" 2>/dev/null &&
				mount -o loop "$work/xfs.img" "$work/mnt.xfs" 2>/dev/null; then
				try "$name" 77 env -C "$work/mnt.xfs" "$program" file clone
				umount "$work/mnt.xfs"
			else
				skip "$name" 'no XFS (needs root, loop devices and mkfs.xfs)'
			fi
			;;
		*write-verify)
			try "$name" 77 "$program" -t 4608 -a size=4096,off=512 -a size=4096,off=4608 file
			;;
		*bogus-nr-pages) # takes all the address space that there is
			try "$name" 77 sh -c "ulimit -v 4000000; exec '$program'"
			;;
		*last-ref-held-by-io)
			prepare() { dd if=/dev/zero of=file bs=1M count=10 status=none; }
			try "$name" 77 "$program" 0 100 file
			try "$name, waiting" 77 "$program" 1 100 file
			;;
		*aiocp)
			prepare() { head -c 16M /dev/urandom >file; }
			try "$name" 77 sh -c "'$program' -f CREAT -f TRUNC file copy && cmp file copy"
			try "$name, O_DIRECT" 77 sh -c "'$program' -a 4k -b 128k -f DIRECT -f CREAT -f TRUNC file copy &&
				cmp file copy"
			;;
		*aiodio_sparse2)
			try "$name" 77 "$program" -s 20M -w 64k -n 1M file
			try "$name, 1 MiB" 77 "$program" -i 8 -s 60M -w 1M -n 2M file
			;;
		*) try "$name" 77 "$program" file ;;
		esac
	done
}

# LTP's programs take their temporary directories themselves.
ltp_suite() {
	local bin=${LTP:-/opt/ltp}/testcases/bin any='' program
	dir=$work/ltp.d
	mkdir "$dir"
	prepare() { :; }
	# io_setup02 asks for one event more than the host's limit.
	export LTPROOT=${LTP:-/opt/ltp} TMPDIR=$dir AIO_RS_MAX_NR=kernel
	for program in "$bin"/io_{setup,destroy,submit,cancel,getevents,pgetevents}[0-9]* "$bin"/aio0[0-9]; do
		[ ! -x "$program" ] || {
			any=1
			try "LTP ${program##*/}" 32 "$program"
		}
	done
	if [ -x "$bin/aiocp" ]; then
		any=1
		try 'LTP aiocp' 32 "$bin/aiocp" -b 8k -n 8 -f DIRECT
		try 'LTP aiodio_append' 32 "$bin/aiodio_append" -n 16 -s 64k -c 4
		try 'LTP aiodio_sparse' 32 "$bin/aiodio_sparse" -i 4 -a 8k -w 16k -s 2M
		try 'LTP aio-stress' 32 "$bin/aio-stress" -I500 -o3 -S -r4 -t4 -s64
	fi
	[ -n "$any" ] || skip "LTP's AIO tests" "no LTP in ${LTP:-/opt/ltp}"
}

libaio_suite
xfstests_suite
ltp_suite
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
