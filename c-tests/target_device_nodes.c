/* Device nodes that containers lack: /dev/kmsg and an unmounted /dev/fuse. */
#include "submit_util.h"

int main(void)
{
	char buf[8192];
	struct iocb cb;

	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC), fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (kmsg < 0 || fuse < 0)
		skip("no /dev/kmsg or no /dev/fuse");
	io_context_t ctx = new_ctx(8);
	prep(&cb, IO_CMD_PREAD, kmsg, buf, sizeof buf, 0);
	expect_refused_key("3.9/11", "/dev/kmsg, pread", ctx, &cb, -EINVAL, "cleared");
	prep(&cb, IO_CMD_PREAD, fuse, buf, sizeof buf, 0);
	expect_inline("3.9/16", "/dev/fuse, pread", ctx, &cb, -EPERM);
	prep(&cb, IO_CMD_PWRITE, fuse, buf, 16, 0);
	expect_inline("3.9/16", "/dev/fuse, pwrite", ctx, &cb, -EPERM);
	expect_true("3.9/16", "ring empty at the end", ring_empty(ctx));
	expect("3.9/16", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}
