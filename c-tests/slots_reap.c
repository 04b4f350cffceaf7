/* A slot comes back when its event leaves the ring: by io_getevents or by user
 * space moving head. Until then, completed or not, it is taken. */
#include "ring_util.h"
#include <sys/eventfd.h>

static struct io_event ev[4096];

static io_context_t full(int n)
{
	io_context_t ctx = setup(n);

	MUST(fill(ctx) == want_slots(n));
	MUST(wait_tail(ctx, (unsigned)want_slots(n)));
	return ctx;
}

static void reap_some(void)
{
	static const int some[] = { 1, 2, 5, 15, 16, 40, 100 };
	long slots = want_slots(1), in_flight = slots;
	io_context_t ctx = full(1);

	for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
		char label[64];

		/* all of them are completed before any is reaped */
		MUST(wait_tail(ctx, (unsigned)((ring_of(ctx)->head + in_flight) % want_nr(1))));
		MUST(reap(ctx, some[i], some[i], ev, 10000) == some[i]);
		snprintf(label, sizeof label, "full, %d reaped: as many fit", some[i]);
		expect("2/15", label, fill(ctx), some[i]);
	}
	expect("2/15", "all come", take_n(ctx, slots, 10000), slots);
	io_destroy(ctx);
}

static void user_head(int n)
{
	io_context_t ctx = full(n);
	struct user_ring *ring = ring_of(ctx);
	long slots = want_slots(n), right = 0;
	char label[96];

	ring->head = 1;
	snprintf(label, sizeof label, "io_setup(%d), full, head := 1", n);
	expect("2/16", label, fill(ctx), 1);
	MUST(wait_tail(ctx, (unsigned)((slots + 1) % ring->nr)));
	ring->head = ring->tail;
	snprintf(label, sizeof label, "io_setup(%d), full, head := tail", n);
	expect("2/17", label, fill_with(ctx, cached_read((void *)7)), slots);
	snprintf(label, sizeof label, "io_setup(%d), then io_getevents", n);
	MUST(wait_tail(ctx, (unsigned)((ring->head + slots) % ring->nr)));
	expect("2/17", label, take(ctx, 4096, ev), slots);
	for (long i = 0; i < slots; i++)
		right += ev[i].data == (void *)7;
	expect("2/17", "only the new ones", right, slots);
	expect("2/17", "slots afterwards", fill(ctx), slots);
	io_destroy(ctx);
}

/* Pending requests keep their slots through any reaping of the others. */
static void mixed(void)
{
	int efd = eventfd(0, EFD_CLOEXEC);
	io_context_t ctx = setup(1);
	long polls = want_slots(1) - 20;

	for (long i = 0; i < polls; i++)
		MUST(submit1(ctx, pending_poll(efd)) == 1);
	expect("2/18", "all but 20 in flight, reads", fill(ctx), 20);
	expect("2/18", "reaped", take_n(ctx, 20, 10000), 20);
	expect("2/18", "reads again", fill(ctx), 20);
	expect("2/18", "reaped again", take_n(ctx, 20, 10000), 20);
	MUST(write(efd, &(uint64_t){ 1 }, 8) == 8);
	expect("2/18", "the polls come", take_n(ctx, polls, 10000), polls);
	expect("2/18", "then reads", fill(ctx), want_slots(1));
	io_destroy(ctx);
}

/* A refused iocb takes nothing, whatever the reason. */
static void refused(void)
{
	io_context_t ctx = setup(1);
	struct iocb cb = *cached_read(NULL);
	int bad = 0;

	for (int i = 0; i < 1000; i++) {
		cb.aio_fildes = -1;
		bad += submit1(ctx, &cb) == -EBADF;
	}
	expect("2/19", "refused with EBADF", bad, 1000);
	cb = *cached_read(NULL);
	cb.aio_lio_opcode = 99;
	for (bad = 0; bad < 1000 && submit1(ctx, &cb) == -EINVAL;)
		bad++;
	expect("2/19", "refused with EINVAL", bad, 1000);
	expect("2/19", "nothing in the ring", take(ctx, 8, ev), 0);
	expect("2/19", "slots afterwards", fill(ctx), want_slots(1));
	io_destroy(ctx);
}

int main(void)
{
	pin(0);
	reap_some();
	user_head(1);
	user_head(128);
	mixed();
	refused();
	return check_done();
}
