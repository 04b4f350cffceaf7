//! Where things lie in an executor: the same addresses in both, so that pointers
//! compare.

pub const PAGE: u64 = 4096;
const ARENA: u64 = 0x1000_0000_0000;

/// Data buffers: a window for each iocb of a call (and of calls in a hurry),
/// with nothing mapped behind the last.
pub const DATA: u64 = ARENA;
pub const WINDOW: u64 = 4 * PAGE;
pub const WINDOWS: u64 = 8;
pub const DATA_LEN: u64 = WINDOW * WINDOWS;

/// The iocbs that programs name by number.
pub const IOCBS: u64 = ARENA + 0x10_0000;
pub const IOCB_COUNT: u64 = 32;
/// Places for iocbs that are not aligned, two iocbs apart.
pub const ASKEW_IOCBS: u64 = IOCBS + PAGE / 2;
/// Arrays of pointers to iocbs.
pub const ARRAYS: u64 = ARENA + 0x11_0000;
pub const ARRAYS_LEN: u64 = PAGE;
/// I/O vectors: a page for each iocb of a call.
pub const VECTORS: u64 = ARENA + 0x12_0000;
pub const VECTORS_LEN: u64 = WINDOWS * PAGE;
/// A vector of more segments than are allowed.
pub const MANY: u64 = ARENA + 0x13_0000;
pub const MANY_COUNT: u64 = 1100;
pub const MANY_LEN: u64 = 5 * PAGE;
/// The variables that io_setup writes to.
pub const CONTEXTS: u64 = ARENA + 0x14_0000;
pub const CONTEXT_COUNT: u64 = 4;
/// Where io_getevents and io_cancel write to.
pub const EVENTS: u64 = ARENA + 0x15_0000;
pub const EVENTS_LEN: u64 = 2 * PAGE;
/// Timeouts and signal masks.
pub const MISC: u64 = ARENA + 0x16_0000;
/// Code: callbacks of io_queue_run, 16 bytes each.
pub const CALLBACKS: u64 = ARENA + 0x18_0000;
pub const CALLBACKS_LEN: u64 = 8 * PAGE;

/// Pages that can be read only, or not at all.
pub const READ_ONLY: u64 = ARENA + 0x20_0000;
/// In it: a short timeout.
pub const READ_ONLY_TIMEOUT: u64 = 1024;
/// And an iocb that does nothing.
pub const READ_ONLY_NOTHING: u64 = 3072;
pub const PROT_NONE: u64 = ARENA + 0x21_0000;
/// Pages with nothing behind them, by use.
pub const EDGE_DATA: u64 = ARENA + 0x22_0000;
pub const EDGE_IOCB: u64 = ARENA + 0x23_0000;
pub const EDGE_ARRAY: u64 = ARENA + 0x24_0000;
pub const EDGE_VECTOR: u64 = ARENA + 0x25_0000;
pub const EDGE_EVENTS: u64 = ARENA + 0x26_0000;
pub const EDGE_MISC: u64 = ARENA + 0x27_0000;
/// Where rings are moved to: two places for each context variable.
pub const RINGS: u64 = ARENA + 0x1000_0000;
pub const RING_PLACE: u64 = 0x100_0000;
/// Nothing is ever mapped here.
pub const UNMAPPED: u64 = ARENA + 0x100_0000;

pub const KERNEL: u64 = 0xffff_8880_0000_0000;
pub const NON_CANONICAL: u64 = 0x0080_0000_0000_0000;
/// The first address that user space cannot have (four-level page tables).
pub const TASK_SIZE: u64 = 0x7fff_ffff_f000;

/// What is mapped for reading and writing, and compared after each step.
pub const COMPARED: [(&str, u64, u64); 11] = [
    ("data", DATA, DATA_LEN),
    ("iocbs", IOCBS, PAGE),
    ("arrays", ARRAYS, ARRAYS_LEN),
    ("vectors", VECTORS, VECTORS_LEN),
    ("many", MANY, MANY_LEN),
    ("misc", MISC, PAGE),
    ("edge_data", EDGE_DATA, PAGE),
    ("edge_iocb", EDGE_IOCB, PAGE),
    ("edge_array", EDGE_ARRAY, PAGE),
    ("edge_vector", EDGE_VECTOR, PAGE),
    ("edge_misc", EDGE_MISC, PAGE),
];
/// Mapped for reading and writing, but compared in other ways.
pub const UNCOMPARED: [(u64, u64); 3] =
    [(CONTEXTS, PAGE), (EVENTS, EVENTS_LEN), (EDGE_EVENTS, PAGE)];

/// The size of the C structures.
pub const IOCB: u64 = 64;
pub const EVENT: u64 = 32;
