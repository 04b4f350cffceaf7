/* The symbols and their versions, as programs of every age find them. */
#include "wait_util.h"
#include <dlfcn.h>

static const char *const version[3] = { "LIBAIO_0.1", "LIBAIO_0.4", "LIBAIO_0.5" };
static const struct {
	const char *name;
	int in[3];
	int newest;
} symbols[] = {
	{ "io_queue_init", { 1, 0, 0 }, 0 },	{ "io_queue_run", { 1, 0, 0 }, 0 },
	{ "io_queue_wait", { 1, 1, 0 }, 1 },	{ "io_queue_release", { 1, 0, 0 }, 0 },
	{ "io_cancel", { 1, 1, 0 }, 1 },	{ "io_submit", { 1, 0, 0 }, 0 },
	{ "io_getevents", { 1, 1, 0 }, 1 },	{ "io_setup", { 0, 1, 0 }, 1 },
	{ "io_destroy", { 0, 1, 0 }, 1 },	{ "io_pgetevents", { 0, 0, 1 }, 2 },
};

/* Bound by the link editor, as an old program's object file asks for it. */
int getevents_v01(io_context_t, long, struct io_event *, struct timespec *);
__asm__(".symver getevents_v01, io_getevents@LIBAIO_0.1");
int cancel_v01(io_context_t, struct iocb *);
__asm__(".symver cancel_v01, io_cancel@LIBAIO_0.1");
int queue_wait_v01(io_context_t, struct timespec *);
__asm__(".symver queue_wait_v01, io_queue_wait@LIBAIO_0.1");
int getevents_v04(io_context_t, long, long, struct io_event *, struct timespec *);
__asm__(".symver getevents_v04, io_getevents@LIBAIO_0.4");
int cancel_v04(io_context_t, struct iocb *, struct io_event *);
__asm__(".symver cancel_v04, io_cancel@LIBAIO_0.4");
int queue_wait_v04(io_context_t, struct timespec *);
__asm__(".symver queue_wait_v04, io_queue_wait@LIBAIO_0.4");

static void *at(const char *name, const char *node)
{
	return dlvsym(RTLD_DEFAULT, name, node);
}

int main(void)
{
	char label[96];

	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
		const char *name = symbols[i].name;
		void *plain = dlsym(RTLD_DEFAULT, name);

		for (int v = 0; v < 3; v++) {
			snprintf(label, sizeof label, "%s@%s exists", name, version[v]);
			expect("13/3", label, at(name, version[v]) != NULL, symbols[i].in[v]);
		}
		snprintf(label, sizeof label, "dlsym %s is %s", name, version[symbols[i].newest]);
		expect_true("13/3", label, plain && plain == at(name, version[symbols[i].newest]));
		/* io_queue_wait's versions do the same: a linker may make them one */
		if (symbols[i].in[0] && symbols[i].in[1] && strcmp(name, "io_queue_wait")) {
			snprintf(label, sizeof label, "%s: the versions differ", name);
			expect_true("13/3", label, at(name, version[0]) != at(name, version[1]));
		}
	}
	expect_true("13/3", "no io_queue_grow, as in the header", !dlsym(RTLD_DEFAULT, "io_queue_grow"));

	expect_true("13/3", ".symver io_getevents@LIBAIO_0.1", (void *)getevents_v01 == at("io_getevents", version[0]));
	expect_true("13/3", ".symver io_getevents@LIBAIO_0.4", (void *)getevents_v04 == at("io_getevents", version[1]));
	expect_true("13/3", ".symver io_cancel@LIBAIO_0.1", (void *)cancel_v01 == at("io_cancel", version[0]));
	expect_true("13/3", ".symver io_cancel@LIBAIO_0.4", (void *)cancel_v04 == at("io_cancel", version[1]));
	expect_true("13/3", ".symver io_queue_wait@LIBAIO_0.1", (void *)queue_wait_v01 == at("io_queue_wait", version[0]));
	expect_true("13/3", ".symver io_queue_wait@LIBAIO_0.4", (void *)queue_wait_v04 == at("io_queue_wait", version[1]));
	expect("13/3", "io_queue_wait@LIBAIO_0.1 answers", queue_wait_v01(NULL, NULL), -EINVAL);
	expect("13/3", "io_queue_wait@LIBAIO_0.4 answers", queue_wait_v04(NULL, NULL), -EINVAL);
	expect_true("13/3", "linked io_getevents is 0.4", (void *)io_getevents == at("io_getevents", version[1]));
	expect_true("13/3", "linked io_cancel is 0.4", (void *)io_cancel == at("io_cancel", version[1]));

	/* and one handle of one library has them all, all its own */
	Dl_info setup, one;
	int strange = 0;
	MUST(dladdr(dlsym(RTLD_DEFAULT, "io_setup"), &setup));
	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
		for (int v = 0; v < 3; v++)
			if (symbols[i].in[v])
				strange += !dladdr(at(symbols[i].name, version[v]), &one) || one.dli_fbase != setup.dli_fbase;
	expect("13/3", "symbols of another library", strange, 0);
	return check_done();
}
