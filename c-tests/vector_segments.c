/* Segments of PREADV and PWRITEV: bad addresses, empty ones, lengths that
 * sum to too much. */
#include "events.h"
#include <limits.h>
#include <sys/uio.h>

#define BIG 0x7ffff000UL /* the most that one transfer moves */

static io_context_t ctx;
static char label[128];

static void both(const char *id, const char *what, int fd, struct iovec *v, int n, long want, int refused)
{
	for (int write = 0; write < 2; write++) {
		struct iocb cb;
		(write ? io_prep_pwritev : io_prep_preadv)(&cb, fd, v, n, 0);
		snprintf(label, sizeof label, "%s, %s", write ? "PWRITEV" : "PREADV", what);
		(refused ? expect_refused : expect_event)(id, label, ctx, &cb, want);
	}
}

int main(void)
{
	static char a[65536], b[65536];
	int fd = pattern_file(O_RDWR, 65536), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct iovec v[3];
	struct iocb cb;

	MUST(fd >= 0 && null >= 0 && io_setup(8, &ctx) == 0);
	v[0] = (struct iovec){ a, 16 };
	v[1] = (struct iovec){ NOWHERE, 16 };
	both("3.8/5", "segment 1 unmapped", fd, v, 2, 16, 0);
	v[2] = (struct iovec){ b, 16 };
	both("3.8/5", "segment 1 of 3 unmapped", fd, v, 3, 16, 0);
	both("3.8/5", "segment 0 unmapped", fd, v + 1, 2, -EFAULT, 0);
	v[1] = (struct iovec){ KERNEL_ADDR, 16 };
	both("3.8/6", "segment 1 has a kernel address", fd, v, 2, -EFAULT, 1);
	both("3.8/6", "segment 0 has a kernel address", fd, v + 1, 2, -EFAULT, 1);
	v[1] = (struct iovec){ b, (size_t)-1 };
	both("3.8/7", "length (size_t)-1", fd, v, 2, -EINVAL, 1);
	both("3.8/7", "length (size_t)-1, alone", fd, v + 1, 1, -EINVAL, 1);
	v[0] = (struct iovec){ a, SSIZE_MAX };
	v[1] = (struct iovec){ b, SSIZE_MAX };
	both("3.8/7", "two lengths of SSIZE_MAX", fd, v, 2, -EFAULT, 1);

	v[0] = (struct iovec){ a, BIG };
	v[1] = (struct iovec){ b, BIG };
	io_prep_pwritev(&cb, null, v, 2, 0);
	expect_event("3.8/8", "PWRITEV, two lengths of 0x7ffff000: cut", ctx, &cb, BIG);
	v[0].iov_len = 4096;
	io_prep_preadv(&cb, fd, v, 2, 4096); /* the file has 60 KiB from there */
	expect_event("3.8/8", "PREADV, 4096 and 0x7ffff000", ctx, &cb, 61440);
	expect_true("3.8/8", "PREADV, 4096 and 0x7ffff000: data", a[4095] == (char)(8191 * 7 + 31) && b[0] == (char)(8192 * 7 + 32));
	v[0].iov_len = BIG;
	io_prep_preadv(&cb, fd, v, 2, 65536 - 100);
	expect_event("3.8/8", "PREADV, two lengths of 0x7ffff000", ctx, &cb, 100);

	memset(b, 'e', 16);
	v[0] = (struct iovec){ NULL, 0 };
	v[1] = (struct iovec){ b, 16 };
	both("3.8/9", "an empty segment, then 16", fd, v, 2, 16, 0);
	v[2] = (struct iovec){ NULL, 0 };
	both("3.8/9", "16, then an empty segment", fd, v + 1, 2, 16, 0);
	both("3.8/9", "only an empty segment", fd, v, 1, 0, 0);
	v[0] = (struct iovec){ NOWHERE, 0 };
	both("3.8/9", "an empty unmapped segment, then 16", fd, v, 2, 16, 0);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}
