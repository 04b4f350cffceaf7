//! exit(3): what was submitted gets done before the process ends, as with the
//! kernel, which finishes a dead process's requests itself.

use crate::{aio_kiocb, mm};

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = destructor;

extern "C" fn destructor() {
    if let Some(mm) = mm::mm() {
        mm::exit_aio(mm, aio_kiocb::finish_data);
    }
}
