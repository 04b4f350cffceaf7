/* A slow disk: a loop block device over a file of the slow device (slowfs.h),
 * with a file system on it if wanted. What the disk reads, writes and flushes
 * are READ, WRITE and FSYNC requests there, to be delayed or held. It goes with
 * its last descriptor and mount (LO_FLAGS_AUTOCLEAR, detached mount). */
#ifndef AIO_SLOWDISK_H
#define AIO_SLOWDISK_H
#include "slowfs.h"
#include <linux/loop.h>
#include <spawn.h>
#include <sys/ioctl.h>

#define NO_LOOP "no loop devices (needs root and /dev/loop-control)"

/* The disk's descriptor, without O_DIRECT; its path goes to `path`. */
static inline int slowdisk_attach(struct slowfs *s, int file, char path[32])
{
	int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int back = slowfs_open(s, file, O_RDWR | O_DIRECT);
	struct loop_config c = { .fd = (unsigned)back, .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO };

	for (int tries = 0; ctl >= 0 && tries < 200; tries++) {
		int n = ioctl(ctl, LOOP_CTL_GET_FREE), dev;
		if (n < 0)
			break;
		snprintf(path, 32, "/dev/loop%d", n);
		dev = open(path, O_RDWR | O_CLOEXEC);
		if (dev < 0)
			break;
		if (!ioctl(dev, LOOP_CONFIGURE, &c)) {
			close(ctl);
			close(back);
			return dev;
		}
		close(dev);
		if (errno != EBUSY) /* another program took it first */
			break;
		usleep(1000);
	}
	skip(NO_LOOP);
	return -1;
}

/* mkfs, then a detached mount; -1: no such mkfs or file system here. */
static inline int slowdisk_mount(const char *type, const char *path)
{
	static char *const dirs[] = { "/usr/sbin", "/sbin", NULL };
	/* ext4: no background writes of its own */
	const char *opt[] = { "source", path, strcmp(type, "ext4") ? NULL : "noinit_itable", NULL, NULL, NULL };
	posix_spawn_file_actions_t quiet;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
	for (char *const *dir = dirs; *dir; dir++) {
		char mkfs[64];
		char *argv[] = { mkfs, "-q", (char *)path, NULL };
		char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL }; /* no LD_PRELOAD */
		pid_t pid;
		int st;
		snprintf(mkfs, sizeof mkfs, "%s/mkfs.%s", *dir, type);
		if (access(mkfs, X_OK) || posix_spawn(&pid, mkfs, &quiet, NULL, argv, env))
			continue;
		MUST(waitpid(pid, &st, 0) == pid);
		return st ? -1 : detached_mount(type, opt);
	}
	return -1;
}
#endif
