//! Messages between parent and executors: a length, then postcard.

use serde::{Serialize, de::DeserializeOwned};
use std::io::{Read, Write};

/// False: the other side is gone.
pub fn send<T: Serialize>(to: &mut impl Write, message: &T) -> bool {
    let body = postcard::to_stdvec(message).expect("a message");
    let mut frame = (body.len() as u32).to_ne_bytes().to_vec();
    frame.extend(body);
    to.write_all(&frame).and_then(|()| to.flush()).is_ok()
}

/// None: the other side is gone.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> Option<T> {
    let mut len = [0; 4];
    from.read_exact(&mut len).ok()?;
    let mut body = vec![0; u32::from_ne_bytes(len) as usize];
    from.read_exact(&mut body).ok()?;
    postcard::from_bytes(&body).ok()
}
