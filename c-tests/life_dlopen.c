/* The library as a plug-in brings it: loaded by dlopen with RTLD_LOCAL, used,
 * and unloaded with contexts alive and I/O in flight. The contexts belong to
 * the process: after the next dlopen they are there, and the events too.
 *
 * This program itself calls nothing of the library, so the linker (--as-needed)
 * does not bind it, and dlclose really unloads it. */
#include "life.h"
#include <dlfcn.h>

#define CYCLES 30
static void *handle;
static struct {
	int (*setup)(int, io_context_t *);
	int (*destroy)(io_context_t);
	int (*submit)(io_context_t, long, struct iocb **);
	int (*getevents)(io_context_t, long, long, struct io_event *, struct timespec *);
	int (*cancel)(io_context_t, struct iocb *, struct io_event *);
} aio;

static int load(int flags)
{
	handle = dlopen("libaio.so.1", flags);
	if (!handle)
		return 0;
	*(void **)&aio.setup = dlsym(handle, "io_setup");
	*(void **)&aio.destroy = dlsym(handle, "io_destroy");
	*(void **)&aio.submit = dlsym(handle, "io_submit");
	*(void **)&aio.getevents = dlsym(handle, "io_getevents");
	*(void **)&aio.cancel = dlsym(handle, "io_cancel");
	return aio.setup && aio.destroy && aio.submit && aio.getevents && aio.cancel;
}

/* One read of the tagged file; 0 if it is right. */
static char *buf;
static int direct;
static long one_read(io_context_t ctx)
{
	struct iocb cb, *list[1] = { &cb };
	struct timespec ts = { 10, 0 };
	struct io_event ev;

	memset(buf, 0, 4096);
	io_prep_pread(&cb, direct, buf, 4096, 8192);
	if (aio.submit(ctx, 1, list) != 1 || aio.getevents(ctx, 1, 1, &ev, &ts) != 1 || ev.res != 4096)
		return -1;
	return tag_wrong(buf, 4096, 11, 16);
}

int main(void)
{
	static const struct {
		const char *name, *version;
	} versions[] = {
		{ "io_setup", "LIBAIO_0.4" },	  { "io_destroy", "LIBAIO_0.4" },   { "io_submit", "LIBAIO_0.1" },
		{ "io_cancel", "LIBAIO_0.1" },	  { "io_cancel", "LIBAIO_0.4" },    { "io_getevents", "LIBAIO_0.1" },
		{ "io_getevents", "LIBAIO_0.4" }, { "io_pgetevents", "LIBAIO_0.5" }, { "io_queue_wait", "LIBAIO_0.1" },
		{ "io_queue_wait", "LIBAIO_0.4" }, { "io_queue_init", "LIBAIO_0.1" }, { "io_queue_run", "LIBAIO_0.1" },
		{ "io_queue_release", "LIBAIO_0.1" },
	};
	struct iocb read_cb, poll_cb, *list[2] = { &read_cb, &poll_cb };
	struct timespec ts = { 10, 0 };
	struct io_event ev[2];
	io_context_t ctx = NULL;
	uint64_t one = 1;
	long bad = 0, missing = 0;

	direct = reopen(tagged_file(65536, 11), O_RDONLY | O_DIRECT);
	buf = page_alloc(4096);
	int efd = eventfd(0, EFD_CLOEXEC);
	MUST(direct >= 0);

	if (!load(RTLD_NOW | RTLD_LOCAL))
		DIE("dlopen: %s", dlerror());
	for (unsigned i = 0; i < sizeof versions / sizeof *versions; i++)
		missing += !dlvsym(handle, versions[i].name, versions[i].version);
	expect("life/5", "versioned names that dlvsym does not find", missing, 0);
	expect("life/5", "the newest io_getevents is dlsym's",
	       dlvsym(handle, "io_getevents", "LIBAIO_0.4") == (void *)aio.getevents, 1);
	expect("life/5", "io_setup", aio.setup(8, &ctx), 0);
	expect("life/5", "a read", one_read(ctx), 0);

	/* Unload with a read and a poll in flight. */
	io_prep_pread(&read_cb, direct, buf, 4096, 4096);
	io_prep_poll(&poll_cb, efd, POLLIN);
	memset(buf, 0, 4096);
	expect("life/5", "io_submit before dlclose", aio.submit(ctx, 2, list), 2);
	expect("life/5", "dlclose", dlclose(handle), 0);
	MUST(write(efd, &one, 8) == 8);
	usleep(50000);
	expect("life/5", "dlopen again", load(RTLD_LAZY | RTLD_LOCAL), 1);
	expect("life/5", "events", aio.getevents(ctx, 2, 2, ev, &ts), 2);
	expect("life/5", "data of the read", tag_wrong(buf, 4096, 11, 8), 0);
	expect("life/5", "another read on the same context", one_read(ctx), 0);

	/* Over and over; the context lives on, others come and go. */
	for (int i = 0; i < CYCLES; i++) {
		io_context_t mine = NULL;
		bad += dlclose(handle) != 0 || !load(i % 2 ? RTLD_NOW : RTLD_LAZY);
		bad += one_read(ctx) != 0;
		bad += aio.setup(8, &mine) || one_read(mine) || aio.destroy(mine);
	}
	expect("life/5", "cycles of dlclose and dlopen gone wrong", bad, 0);
	expect("life/5", "io_destroy", aio.destroy(ctx), 0);
	expect("life/5", "io_destroy again", aio.destroy(ctx), -EINVAL);
	/* Exit with the library unloaded and a context alive. */
	ctx = NULL;
	MUST(aio.setup(8, &ctx) == 0 && one_read(ctx) == 0);
	dlclose(handle);
	return check_done();
}
