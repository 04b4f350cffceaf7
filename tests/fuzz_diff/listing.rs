//! A program as text, close to C.

use crate::program::Program;

pub fn listing(program: &Program) -> String {
    let mut text = String::new();
    for (i, step) in program.steps.iter().enumerate() {
        text += &format!("  {i:2}: {step:?}\n");
    }
    text
}
