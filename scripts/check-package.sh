#!/bin/bash
# make check-package: the Debian packages as a new user meets them: installed in a
# fresh Debian that has none of our sources, used, and removed.
# check-package.sh BUILD; DEBIAN= names another release (default bookworm).
set -eu
cd "$(dirname "$0")/.."
build=$(realpath "$1")
release=${DEBIAN:-bookworm}
[ "$(id -u)" = 0 ] || {
	echo "skip  the packages in a chroot: needs root"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
}
passed=0
ok() {
	passed=$((passed + 1))
	echo "ok    $*"
}
fail() {
	echo "FAIL  $*"
	[ ! -s "$work/out" ] || sed 's/^/      /' "$work/out"
	echo "$passed passed, 1 failed, 0 skipped"
	exit 1
}

work=$(mktemp -d "$build/chroot.XXXXXX")
root=$work/root
keeper=
finish() {
	# unshare ignores SIGTERM, and so does the first process of a namespace.
	[ -z "$keeper" ] || kill -KILL "$keeper" 2>/dev/null || true
	[ -z "$keeper" ] || wait "$keeper" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

# A small Debian with a program that uses AIO; kept for the next time.
base=$build/debian-$release.tar
if [ ! -s "$base" ]; then
	timeout 600 debootstrap --variant=minbase "$release" "$root" http://deb.debian.org/debian \
		>"$work/out" 2>&1 || fail "debootstrap $release"
	cp /etc/resolv.conf "$root/etc/"
	timeout 600 chroot "$root" env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y --no-install-recommends install fio >"$work/out" 2>&1 || fail "apt-get install fio"
	chroot "$root" apt-get clean
	tar -C "$root" -cf "$base.new" .
	mv "$base.new" "$base"
else
	mkdir "$root"
	tar -C "$root" -xf "$base"
fi
mkdir "$root/packages"
cp "$build"/deb/*.deb "$root/packages/"

# Mounts and processes of its own, which end with the first of them: sleep.
# shellcheck disable=SC2016 # $1 is the inner shell's
unshare --mount --pid --fork --kill-child sh -c '
	mount --make-rprivate / && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
	mount -t tmpfs tmpfs "$1/dev/shm" && mount -t tmpfs tmpfs "$1/tmp" && : >"$1/ready" &&
	exec sleep 1200' sh "$root" &
keeper=$!
for _ in $(seq 100); do
	[ ! -e "$root/ready" ] || break
	sleep 0.1
done
[ -e "$root/ready" ] || fail "no namespace"
rm "$root/ready"
first=$(pgrep -P "$keeper")
enter=(nsenter --target "$first" --mount --pid chroot "$root"
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=xterm-256color
	LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive)

# here COMMAND...: in the chroot, for two minutes at most.
here() {
	timeout 120 "${enter[@]}" "$@"
}

# try NAME COMMAND...: has to succeed; what it says is in $work/out.
try() {
	local name=$1
	shift
	here "$@" >"$work/out" 2>&1 || fail "$name: exit $?"
}

# says PATTERN NAME: the last command's output has it.
says() {
	grep -qE -- "$1" "$work/out" || fail "$2: nothing says \"$1\""
}

# All that packages may leave: files, and who is registered with dpkg and ldconfig.
snapshot() {
	(
		cd "$root"
		find . -xdev \( -path ./tmp -o -path ./proc -o -path ./dev -o -path ./packages \
			-o -path ./var/cache -o -path ./var/log -o -path './var/lib/dpkg/*' \
			-o -path './var/lib/apt/*' -o -path ./etc/ld.so.cache \) -prune \
			-o -printf '%p %y %m %U %l %s\n' | sort
		here dpkg-query -W -f '${Package} ${Version} ${Status}\n'
		here ldconfig -p
		ls var/lib/dpkg/info
	) >"$1"
}

job=(fio --ioengine=libaio --name=trial --filename=/trial --size=8m --rw=randrw --bs=4k
	--iodepth=16 --direct=1 --verify=crc32c --verify_state_save=0 --unlink=1)
lib=$(here sh -c 'dirname "$(ldconfig -p | sed -n "s/.*libaio\.so\.1.* => //p")"')
system=$(basename "$(here sh -c 'ls /usr/lib/*/libaio.so.1* | head -n 1')")
of_fio() {
	here sh -c 'ldd "$(command -v fio)"' | sed -n 's/.*libaio\.so[^ ]* => \([^ ]*\) .*/\1/p'
}

snapshot "$work/before"
try install sh -c 'apt-get -q -y install /packages/aio-rs_*.deb /packages/libaio-rs1_*.deb /packages/libaio-rs-dev_*.deb'
ok "apt-get install aio-rs libaio-rs1 libaio-rs-dev"

try 'doctor' aio-rs doctor fio
ok "aio-rs doctor fio"
try 'run' env AIO_RS_LOG=info aio-rs run "${job[@]}"
says 'engine: ' 'run'
ok "aio-rs run fio, every crc32c is right"
try 'run --stats' aio-rs run --stats "${job[@]}"
says 'requests in [0-9]+ calls of io_submit' 'run --stats'
ok "aio-rs run --stats fio tells what was done"

here aio-rs run --stats fio --ioengine=libaio --name=watched --filename=/watched --size=8m \
	--rw=randread --time_based --runtime=8 --unlink=1 >"$work/fio" 2>&1 &
fio=$!
for _ in $(seq 100); do
	here aio-rs top --json --count 1 >"$work/out" 2>&1 || fail "top: exit $?"
	[ ! -s "$work/out" ] || break
	sleep 0.1
done
says '"contexts":1,' 'top --json'
try 'top' script -qec 'stty cols 110 rows 30; aio-rs top --count 2' /dev/null
says 'SUBMIT p99' 'top'
says 'microseconds' 'top'
wait "$fio" || fail "aio-rs run --stats fio: exit $?"
[ -z "$(here ls /dev/shm)" ] || fail "a page of counters is left"
ok "aio-rs top shows fio while it runs, and nothing of it is left in /dev/shm"

case $(of_fio) in
*/aio-rs/*) fail "aio-rs changes programs that were not run on it" ;;
*) ok "a program that is not run on it has the system's $system" ;;
esac
try 'drop-in' env AIO_RS_LOG=info LD_LIBRARY_PATH="$lib/aio-rs" "${job[@]}"
says 'engine: ' 'drop-in'
ok "fio on the drop-in, every crc32c is right"

try 'aio-rs-libaio' sh -c 'apt-get -q -y install /packages/aio-rs-libaio_*.deb'
[[ $(of_fio) = */aio-rs/* ]] || fail "aio-rs-libaio is installed, and fio has $(of_fio)"
try 'aio-rs-libaio' env AIO_RS_LOG=info "${job[@]}"
says 'engine: ' 'aio-rs-libaio'
ok "with aio-rs-libaio, all programs are run on it"
try 'remove' apt-get -q -y remove aio-rs-libaio
[[ $(of_fio) != */aio-rs/* ]] || fail "aio-rs-libaio is removed, and fio has $(of_fio)"
ok "apt-get remove aio-rs-libaio: the system's $system again"

try 'remove' apt-get -q -y purge aio-rs-libaio aio-rs libaio-rs-dev libaio-rs1
snapshot "$work/after"
diff "$work/before" "$work/after" >"$work/out" || fail "not everything was removed"
ok "apt-get purge: nothing is left"

# The container recipes of docs/packages.md, step by step; their CMD behind a filter
# that refuses io_uring, as Docker's does.
"${CC:-cc}" -O2 -static c-tests/tools/deny_uring.c -o "$root/deny-uring"
recipe() {
	local instruction rest words last='' environment=()
	while read -r instruction rest; do
		read -ra words <<<"$rest"
		case $instruction in
		FROM) ;; # Debian's image is what this chroot is
		ENV) environment+=("$rest") ;;
		COPY) install -D "$build/${words[0]#build/}" "$root${words[1]}" ;;
		RUN) try "recipe $1: $rest" env "${environment[@]}" sh -c "$rest" ;;
		CMD)
			try "recipe $1: $rest" env "${environment[@]}" /deny-uring sh -c "$rest"
			says 'engine: threads' "recipe $1"
			;;
		*) fail "recipe $1 has $instruction" ;;
		esac
		last=$instruction
	done < <(awk -v nth="$1" '/^```/ { inside = $0 == "```dockerfile" && ++seen == nth; next } inside' docs/packages.md)
	[ "$last" = CMD ] || fail "recipe $1 does not end with CMD"
	ok "container recipe $1 of docs/packages.md, io_uring refused"
}
recipe 1
recipe 2

echo "$passed passed, 0 failed, 0 skipped"
