/* A first program with Linux native AIO.
 *
 *	cc example.c -laio-rs -o example && ./example /tmp/example.dat
 *
 * It writes a 4 MiB file with one call, reads it back 64 blocks at a time in
 * random order, and checks every byte. All it needs to know of AIO:
 *
 *	io_setup	makes a context: a queue with room for so many requests
 *	io_prep_*	fills in a request (struct iocb); nothing happens yet
 *	io_submit	hands a batch of requests over, and returns at once
 *	io_getevents	waits for completions, which come in any order
 *	io_destroy	ends the context
 *
 * Every call returns a negative errno on failure and leaves errno alone.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <libaio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096
#define BLOCKS 1024
#define DEPTH 64 /* requests in flight at a time */

/* One request and what we want to find when it is done. The iocb comes first,
 * so that the event's `obj` (the iocb's address) leads back to the request. */
struct request {
	struct iocb iocb;
	int block;
	char *buf;
};

static void must(long result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror((int)-result));
		exit(1);
	}
}

static void fill(char *buf, int block)
{
	for (int i = 0; i < BLOCK; i++)
		buf[i] = (char)(block * 31 + i);
}

/* Hand over all `n` requests: io_submit may take fewer than it was given. */
static void submit(io_context_t ctx, struct iocb **list, int n)
{
	for (int done = 0; done < n;) {
		int taken = io_submit(ctx, n - done, list + done);
		must(taken, "io_submit");
		done += taken;
	}
}

/* Wait for `n` completions and return the bytes they moved. A request's own
 * result, a byte count or a negative errno, stands in `res`. */
static long wait_for(io_context_t ctx, int n, struct io_event *events)
{
	long bytes = 0;

	must(io_getevents(ctx, n, n, events, NULL), "io_getevents");
	for (int i = 0; i < n; i++) {
		must((long)events[i].res, "request");
		bytes += (long)events[i].res;
	}
	return bytes;
}

int main(int argc, char **argv)
{
	static struct request request[DEPTH];
	static char expected[BLOCK];
	struct iocb *list[DEPTH];
	struct io_event events[DEPTH];
	io_context_t ctx = NULL; /* io_setup insists on NULL */
	long bytes = 0, good = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: %s FILE\n", argv[0]);
		return 2;
	}
	int fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	must(io_setup(DEPTH, &ctx), "io_setup");
	for (int i = 0; i < DEPTH; i++) {
		list[i] = &request[i].iocb;
		request[i].buf = malloc(BLOCK);
		if (!request[i].buf)
			return 1;
	}

	/* 1. Write the file, DEPTH blocks with each io_submit. */
	for (int first = 0; first < BLOCKS; first += DEPTH) {
		for (int i = 0; i < DEPTH; i++) {
			struct request *r = &request[i];
			r->block = first + i;
			fill(r->buf, r->block);
			io_prep_pwrite(&r->iocb, fd, r->buf, BLOCK, (long long)r->block * BLOCK);
		}
		submit(ctx, list, DEPTH);
		bytes += wait_for(ctx, DEPTH, events);
	}
	printf("wrote %ld bytes\n", bytes);

	/* 2. Have it on the disk, not only in memory. */
	io_prep_fsync(&request[0].iocb, fd);
	submit(ctx, list, 1);
	wait_for(ctx, 1, events);
	printf("synced\n");

	/* 3. Read it back out of order: 389 has no factor in common with
	 * BLOCKS, so every block has its turn. */
	bytes = 0;
	for (int first = 0; first < BLOCKS; first += DEPTH) {
		for (int i = 0; i < DEPTH; i++) {
			struct request *r = &request[i];
			r->block = (first + i) * 389 % BLOCKS;
			memset(r->buf, 0, BLOCK);
			io_prep_pread(&r->iocb, fd, r->buf, BLOCK, (long long)r->block * BLOCK);
		}
		submit(ctx, list, DEPTH);
		bytes += wait_for(ctx, DEPTH, events);
		for (int i = 0; i < DEPTH; i++) {
			struct request *r = (struct request *)events[i].obj;
			fill(expected, r->block);
			good += !memcmp(r->buf, expected, BLOCK);
		}
	}
	printf("read %ld bytes, %ld of %d blocks are right\n", bytes, good, BLOCKS);

	must(io_destroy(ctx), "io_destroy");
	close(fd);
	return good == BLOCKS ? 0 : 1;
}
