/* A context is the same through every door: libaio's functions, the calls by
 * number, and a libaio that was loaded by dlopen. As MariaDB does it: io_setup,
 * io_submit and io_destroy by libaio, io_getevents by number. */
#include "raw.h"
#include <dlfcn.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

static int fd;

static void made_by_libaio(void)
{
	io_context_t ctx = NULL;
	struct io_event ev[4];
	struct iocb cb;
	char buf[16];

	expect("15/4", "libaio's io_setup", io_setup(8, &ctx), 0);
	io_prep_pread(&cb, fd, buf, 16, 0);
	expect("15/4", "io_submit by number", raw_submit1(ctx, &cb), 1);
	expect("15/4", "libaio's io_getevents", reap(ctx, 1, 4, ev, 10000), 1);
	expect("15/4", "libaio's io_submit", submit1(ctx, &cb), 1);
	expect("15/4", "io_getevents by number", raw_getevents(ctx, 1, 4, ev, &ten_seconds), 1);
	expect("15/4", "libaio's io_submit once more", submit1(ctx, &cb), 1);
	expect("15/4", "io_pgetevents by number", raw_pgetevents(ctx, 1, 4, ev, &ten_seconds, NULL), 1);

	int efd = eventfd(0, EFD_CLOEXEC);
	io_prep_poll(&cb, efd, POLLIN);
	expect("15/4", "a poll by libaio", submit1(ctx, &cb), 1);
	expect("15/4", "io_cancel by number", raw_cancel(ctx, &cb, NULL), -EINPROGRESS);
	expect("15/4", "its event", raw_getevents(ctx, 1, 4, ev, &ten_seconds), 1);
	expect("15/4", "io_destroy by number", raw_destroy(ctx), 0);
	expect("15/4", "libaio's io_destroy", io_destroy(ctx), -EINVAL);
	close(efd);
}

static void made_by_number(void)
{
	io_context_t ctx = NULL;
	struct io_event ev;
	struct iocb cb;
	int efd = eventfd(0, EFD_CLOEXEC);

	expect("15/4", "io_setup by number", raw_setup(8, &ctx), 0);
	expect("15/4", "its ring's magic", ring_of(ctx)->magic == 0xa10a10a1, 1);
	expect("15/4", "a read by libaio", libaio_read(ctx, fd), 16);
	expect("15/4", "a read by number", raw_read(ctx, fd), 16);
	io_prep_poll(&cb, efd, POLLIN);
	expect("15/4", "a poll by number", raw_submit1(ctx, &cb), 1);
	expect("15/4", "libaio's io_cancel", io_cancel(ctx, &cb, &ev), -EINPROGRESS);
	expect("15/4", "its event", reap(ctx, 1, 1, &ev, 10000), 1);
	expect("15/4", "libaio's io_destroy", io_destroy(ctx), 0);
	expect("15/4", "io_destroy by number", raw_destroy(ctx), -EINVAL);
	close(efd);
}

/* A reaper asleep in io_getevents, by number, while others submit by libaio; it
 * leaves when the context is destroyed. */
static io_context_t shared;
static long reaped, last;
static void *reaper(void *arg)
{
	struct io_event ev[256];
	long n;

	(void)arg;
	while ((n = raw_getevents(shared, 1, 256, ev, NULL)) > 0)
		__atomic_fetch_add(&reaped, n, __ATOMIC_SEQ_CST);
	last = n;
	return NULL;
}
static void *submitter(void *arg)
{
	struct iocb cb;
	char buf[16];

	(void)arg;
	for (int i = 0; i < 500;) {
		io_prep_pread(&cb, fd, buf, 16, 0);
		long r = submit1(shared, &cb);
		MUST(r == 1 || r == -EAGAIN);
		i += r == 1;
	}
	return NULL;
}
static void as_mariadb(void)
{
	pthread_t r, s[3];

	MUST(io_setup(256, &shared) == 0);
	MUST(!pthread_create(&r, NULL, reaper, NULL));
	for (int i = 0; i < 3; i++)
		MUST(!pthread_create(&s[i], NULL, submitter, NULL));
	for (int i = 0; i < 3; i++)
		pthread_join(s[i], NULL);
	long until = now_ms() + 10000;
	while (__atomic_load_n(&reaped, __ATOMIC_SEQ_CST) < 1500 && now_ms() < until)
		usleep(1000);
	expect("15/5", "events that the reaper took", reaped, 1500);
	usleep(50000);
	expect("15/5", "io_destroy under it", io_destroy(shared), 0);
	pthread_join(r, NULL);
	expect("15/5", "the reaper leaves", last, -EINVAL);
}

/* A plug-in's libaio, out of reach of whoever comes first: its functions call
 * `syscall`. */
static void by_dlopen(void)
{
	int (*setup)(int, io_context_t *), (*destroy)(io_context_t);
	void *handle = dlopen("libaio.so.1", RTLD_NOW | RTLD_LOCAL);
	io_context_t ctx = NULL;

	MUST(handle);
	*(void **)&setup = dlsym(handle, "io_setup");
	*(void **)&destroy = dlsym(handle, "io_destroy");
	expect("15/4", "io_setup of a libaio that was loaded by dlopen", setup(8, &ctx), 0);
	expect_documented("15/4", "whose context it is", kernels_ring(ctx), !kernels_ring(ctx));
	expect("15/4", "a read by libaio", libaio_read(ctx, fd), 16);
	expect("15/4", "a read by number", raw_read(ctx, fd), 16);
	expect("15/4", "its io_destroy", destroy(ctx), 0);
}

/* The parent's contexts are none of a child's. */
static void forked(void)
{
	io_context_t ctx = NULL;
	struct io_event ev;
	int status;

	MUST(raw_setup(8, &ctx) == 0);
	pid_t pid = fork();
	if (!pid) {
		io_context_t own = NULL;
		int good = raw_getevents(ctx, 0, 1, &ev, &at_once) == -EINVAL && raw_submit(ctx, 0, NULL) == -EINVAL &&
			   raw_destroy(ctx) == -EINVAL && raw_setup(8, &own) == 0 && raw_read(own, fd) == 16 &&
			   libaio_read(own, fd) == 16 && raw_destroy(own) == 0;
		_exit(good ? 0 : 1);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	expect("15/4", "a forked child: EINVAL, and a context of its own", status, 0);
	expect("15/4", "the parent's lives", raw_read(ctx, fd), 16);
	MUST(io_destroy(ctx) == 0);
}

int main(void)
{
	fd = pattern_file(O_RDWR, 4096);
	made_by_libaio();
	made_by_number();
	as_mariadb();
	by_dlopen();
	forked();
	return check_done();
}
