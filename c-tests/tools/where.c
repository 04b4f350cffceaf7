/* Tells which library a program gets, and whether the kernel gives it io_uring:
 * the runner asks before it believes any result. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <libaio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void where(const char *name, void *function)
{
	Dl_info info;
	char *path = dladdr(function, &info) ? realpath(info.dli_fname, NULL) : NULL;

	printf("%s: %s\n", name, path ? path : "?");
}

int main(void)
{
	io_context_t ctx = NULL;

	where("io_setup", (void *)io_setup);
	where("io_submit", (void *)io_submit);
	where("io_getevents", (void *)io_getevents);
	where("syscall", (void *)syscall);
	syscall(425, 0, NULL); /* io_uring_setup: EINVAL or EFAULT where it is allowed */
	printf("io_uring: %s\n", errno == EINVAL || errno == EFAULT ? "yes" : strerror(errno));
	printf("context: %d\n", io_setup(1, &ctx));
	return 0;
}
