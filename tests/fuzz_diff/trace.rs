//! What an executor reports after each step.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    pub data: u64,
    pub obj: u64,
    pub res: i64,
    pub res2: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Returned(i64),
    /// libaio reads this address itself: it would die of it.
    WouldDie,
    /// The step was left out: it would not end, or is for the other library.
    LeftOut,
}

/// A context as the program sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    /// id, nr, head, tail, magic, compat, incompat, header_length
    pub header: [u32; 8],
    /// Completed since the last step.
    pub new: Vec<Event>,
    /// Accepted and not completed yet.
    pub in_flight: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTrace {
    pub answer: Answer,
    pub errno: i32,
    /// What io_getevents or io_queue_run handed out.
    pub events: Vec<Event>,
    /// They are what stood in the ring, in its order.
    pub as_in_ring: bool,
    /// How many records behind (or, after an error, at) the events were written.
    pub spoilt: u32,
    /// Which iocbs were left out because they would block.
    pub left_out: u32,
    /// `key` of the iocbs of a submit, where they can be read.
    pub keys: Vec<u32>,
    /// What follows was looked at, after all that can complete had completed.
    pub settled: bool,
    /// By context variable.
    pub rings: Vec<Option<Ring>>,
    /// (descriptor, what can be asked about it).
    pub fds: Vec<(u8, i64)>,
    /// Size and contents of regular files, when it looked.
    pub files: Vec<(u64, u64)>,
    /// Contents of `layout::COMPARED`, where they changed: region, page, hash.
    pub memory: Vec<(u8, u16, u64)>,
    /// SIGPIPE, SIGXFSZ, SIGUSR1 since the last settled step.
    pub signals: [u32; 3],
    /// An operation that should have ended did not.
    pub stuck: bool,
}

/// From the parent to an executor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub program: crate::program::Program,
    /// After each step, how many operations of each context the kernel had in
    /// flight: there may be work that cannot be seen from outside.
    pub expected: Vec<Vec<u32>>,
    /// And the state of its descriptors.
    pub fds: Vec<Vec<(u8, i64)>>,
}

/// From an executor to the parent.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    Ready,
    Step(Box<StepTrace>),
    /// The end; how many in aio-nr were free is the parent's business.
    Done,
    /// The executor itself failed.
    Broken(String),
}
