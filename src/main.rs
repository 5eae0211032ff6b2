//! `ringway`: arguments → configuration → runtime.

fn main() {}
