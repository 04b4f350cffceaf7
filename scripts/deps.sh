#!/bin/sh
# deps.sh demo|check|package: installs the tools that these targets use, as far as they
# are missing: by apt-get when run by root, otherwise it only names them.
set -u

missing=
want() { # want PACKAGE COMMAND...: the package, if one of the commands is not there
	package=$1
	shift
	for command; do
		command -v "$command" >/dev/null 2>&1 ||
			[ -x "/sbin/$command" ] || [ -x "/usr/sbin/$command" ] || {
			missing="$missing $package"
			return
		}
	done
}
header() { # header PACKAGE FILE
	echo "#include <$2>" | "${CC:-cc}" -E -x c - >/dev/null 2>&1 || missing="$missing $1"
}

if [ "${1:-check}" = package ]; then
	want debhelper dh
	want dpkg-dev dpkg-buildpackage
	want fakeroot fakeroot
	want lintian lintian
	want debootstrap debootstrap
	want tmux tmux
fi
want gcc "${CC:-cc}"
header libc6-dev stdio.h
header libaio-dev libaio.h
want fio fio
want strace strace
if [ "${1:-check}" = check ]; then
	header linux-libc-dev linux/io_uring.h
	echo | "${CC:-cc}" -E -x c++ - >/dev/null 2>&1 || missing="$missing g++"
	want e2fsprogs mkfs.ext4
	want xfsprogs mkfs.xfs
	want qemu-utils qemu-img qemu-io
	want mount mount losetup
	want mandoc mandoc
	want pkg-config pkg-config
	# The programs of tests/apps.
	want sysbench sysbench
	want stressapptest stressapptest
	want stress-ng stress-ng
	want ioping ioping
	want python3 python3
	# Only by make check-apps: nginx is built, Python's packages are fetched.
	want dpkg-dev dpkg-source
	want make make
	python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
	want mariadb-server-core mariadbd
	want mariadb-client-core mariadb
	want lvm2 lvm
	want tgt tgtd tgtadm
	want libiscsi-bin iscsi-perf
	want thin-provisioning-tools thin_check
	want btrfs-progs mkfs.btrfs
	want fuse2fs fuse2fs
fi
# Where qemu-system cannot be installed beside the qemu-utils that are there, it is
# only unpacked.
qemu_system() {
	unpacked=${BUILD:-build}/unpacked
	command -v qemu-system-x86_64 >/dev/null 2>&1 && return
	[ -x "$unpacked/usr/bin/qemu-system-x86_64" ] && return
	echo "installing: qemu-system-x86"
	apt-get -q update
	plan=$(apt-get -s --no-install-recommends install qemu-system-x86) || return
	case $plan in
	*Remv*) ;;
	*)
		apt-get -q -y --no-install-recommends install qemu-system-x86
		return
		;;
	esac
	packages=$(mktemp -d) || return
	# shellcheck disable=SC2046 # one word a package
	(cd "$packages" && apt-get -q download $(echo "$plan" | sed -n 's/^Inst \([^ ]*\) .*/\1/p'))
	rm -rf "$unpacked" "$unpacked.new"
	mkdir -p "$unpacked.new"
	for package in "$packages"/*.deb; do
		dpkg -x "$package" "$unpacked.new" || return
	done
	rm -rf "$packages"
	mv "$unpacked.new" "$unpacked"
}

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	export DEBIAN_FRONTEND=noninteractive
	if [ -n "$missing" ]; then
		echo "installing:$missing"
		# shellcheck disable=SC2086 # one word a package
		said=$({ apt-get -q update && apt-get -o DPkg::Lock::Timeout=300 -q -y --no-install-recommends install $missing; } 2>&1) &&
			missing=
		[ -z "$missing" ] || echo "$said" | tail -n 3
	fi
	[ "${1:-check}" != check ] || said=$(qemu_system 2>&1) || echo "$said" | tail -n 3
fi
[ -z "$missing" ] ||
	echo "missing, and not installed:$missing (names of Debian's packages); going on without"
