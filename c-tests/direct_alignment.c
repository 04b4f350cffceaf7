/* O_DIRECT lengths, offsets and buffers that fit, and those that do not. */
#include "direct_rules.h"

int main(void)
{
	int fd = pattern_file(O_RDWR | O_DIRECT, 65536);
	io_context_t ctx = 0;

	if (fd < 0)
		skip("no O_DIRECT in AIO_TEST_DIR");
	MUST(io_setup(8, &ctx) == 0);
	alignment_rules("disk", ctx, fd, -EFAULT);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}
