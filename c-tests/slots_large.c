/* The contract's lines for io_setup(65536), which is the whole default limit of
 * the host: a program of its own, waiting until nobody else holds contexts. */
#include "ring_util.h"

#define N 65536

static io_context_t whole(void)
{
	io_context_t ctx = setup_if_room(N);

	if (!ctx)
		skip("fs.aio-max-nr leaves no room for io_setup(65536)");
	return ctx;
}

int main(void)
{
	static struct iocb *list[200000];
	long slots = want_slots(N), batch = want_batch(N);
	char line[512];
	io_context_t ctx;

	if (read_number(AIO_MAX_NR) < N)
		skip("fs.aio-max-nr leaves no room for io_setup(65536)");
	for (int i = 0; i < 200000; i++)
		list[i] = cached_read(NULL);
	pin(0);

	ctx = whole();
	expect("2/6", "nr", ring_of(ctx)->nr, want_nr(N));
	expect("2/6", "mapping", (long)map_line(ctx, line, sizeof line), (long)want_bytes(N));
	expect("2/6", "slots, one by one", fill(ctx), slots);
	expect("2/12", "io_setup(65536): one more", submit1(ctx, cached_read(NULL)), -EAGAIN);
	expect("2/12", "io_setup(65536): all come", take_n(ctx, slots, 10000), slots);
	io_destroy(ctx);

	ctx = whole();
	expect("2/13", "io_setup(65536): io_submit(200000)", io_submit(ctx, 200000, list), slots);
	expect("2/13", "io_setup(65536): once more", io_submit(ctx, 200000, list), -EAGAIN);
	io_destroy(ctx);

	if (cpu_at(1) < 0)
		skip("one CPU");
	ctx = whole();
	pin(1);
	expect("2/20", "io_setup(65536): one from CPU 1", submit1(ctx, cached_read(NULL)), 1);
	pin(0);
	expect("2/20", "io_setup(65536): from CPU 0", io_submit(ctx, 200000, list), slots - batch);
	pin(1);
	expect("2/20", "io_setup(65536): from CPU 1", io_submit(ctx, 200000, list), batch - 1);
	io_destroy(ctx);
	return check_done();
}
