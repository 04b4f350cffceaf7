/* A context that the program has made with a system call instruction of its own
 * is the kernel's, whatever stands in front of libaio and libc: every call for
 * it, through any door, is answered by the kernel. Contexts made by libaio live
 * beside it, with the same ids. */
#include "raw.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

static long instruction(long nr, long a, long b, long c)
{
#if defined __x86_64__
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "0"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
#elif defined __aarch64__
	register long x8 __asm__("x8") = nr, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
#else
	(void)nr, (void)a, (void)b, (void)c;
	skip("no system call instruction for this machine");
	return -1;
#endif
}

static int fd;

static io_context_t kernels(void)
{
	io_context_t ctx = NULL;
	MUST(instruction(SYS_io_setup, 8, (long)&ctx, 0) == 0);
	return ctx;
}

int main(void)
{
	io_context_t k = kernels(), mine = NULL;
	struct io_event ev[4];
	struct iocb poll;
	sigset_t none;
	int status, efd = eventfd(0, EFD_CLOEXEC);

	fd = pattern_file(O_RDWR, 4096);
	sigemptyset(&none);
	expect("15/7", "the ring is the kernel's", kernels_ring(k), 1);

	/* Before anything else has called the library. */
	expect("15/7", "a read by libaio", libaio_read(k, fd), 16);
	expect("15/7", "a read by number", raw_read(k, fd), 16);
	expect("15/7", "libaio's io_getevents, {0,0}", io_getevents(k, 0, 4, ev, &at_once), 0);
	expect("15/7", "10 ms", reap(k, 1, 4, ev, 10), 0);
	expect("15/7", "libaio's io_pgetevents", io_pgetevents(k, 1, 4, ev, &ms20, &none), 0);
	expect("15/7", "min 2 nr 1", io_getevents(k, 2, 1, ev, &ms20), -EINVAL);

	/* Ours, with the same id in the ring. */
	MUST(io_setup(8, &mine) == 0);
	expect_documented("15/7", "whose context libaio's is", kernels_ring(mine), !kernels_ring(mine));
	expect_documented("15/7", "their ids", ring_of(mine)->id == 1, ring_of(mine)->id == ring_of(k)->id);
	expect("15/7", "a read of libaio's", libaio_read(mine, fd), 16);
	expect("15/7", "a read of the kernel's", libaio_read(k, fd), 16);
	io_prep_poll(&poll, efd, POLLIN);
	expect("15/7", "a poll", submit1(k, &poll), 1);
	expect("15/7", "cancelled in the wrong context", io_cancel(mine, &poll, ev), -EINVAL);
	expect("15/7", "in its own", io_cancel(k, &poll, ev), -EINPROGRESS);
	expect("15/7", "no event for the wrong one", io_getevents(mine, 0, 4, ev, &at_once), 0);
	expect("15/7", "its event", reap(k, 1, 4, ev, 10000), 1);

	/* A child has neither. */
	pid_t pid = fork();
	if (!pid)
		_exit(io_submit(k, 0, NULL) != -EINVAL || reap(k, 1, 1, ev, 10) != -EINVAL || io_destroy(k) != -EINVAL);
	MUST(waitpid(pid, &status, 0) == pid);
	expect("15/7", "EINVAL in a child", status, 0);

	/* A new one of the kernel's where one of libaio's was: the old value has a
	 * new owner. */
	expect("15/7", "libaio's io_destroy", io_destroy(mine), 0);
	io_context_t again = kernels();
	expect("15/7", "the freed address is used again", again == mine, 1);
	expect("15/7", "a read", libaio_read(again, fd), 16);
	expect("15/7", "io_destroy", io_destroy(again), 0);
	expect("15/7", "io_destroy again", io_destroy(again), -EINVAL);
	expect("15/7", "a call for it", io_submit(again, 0, NULL), -EINVAL);

	/* Unmapped by the program, not destroyed, and the address goes to a ring of
	 * the kernel's whose id is the same. */
	mine = NULL;
	MUST(io_setup(8, &mine) == 0 && ring_of(mine)->id == (on_ours() ? 0 : 1));
	MUST(instruction(SYS_io_destroy, (long)k, 0, 0) == 0);
	size_t len = 4096;
	MUST(!munmap(mine, len));
	k = kernels();
	expect("15/7", "a ring of the kernel's in its place", k == mine || kernels_ring(k), 1);
	expect("15/7", "a read", libaio_read(k, fd), 16);
	expect("15/7", "io_destroy by libaio", io_destroy(k), 0);
	expect("15/7", "by instruction", instruction(SYS_io_destroy, (long)k, 0, 0), -EINVAL);

	/* What looks like a ring and is none. */
	char *copy = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	k = kernels();
	memcpy(copy, k, 4096);
	expect("15/7", "a copy of a ring", io_submit((io_context_t)copy, 0, NULL), -EINVAL);
	expect("15/7", "io_destroy of the copy", io_destroy((io_context_t)copy), -EINVAL);
	expect("15/7", "of the ring", io_destroy(k), 0);
	return check_done();
}
