//! Setting up a worker's ring.

use io_uring::{IoUring, opcode, register::Probe};
use std::io;

/// Submissions that can be queued between two entries into the kernel; a full queue is flushed in between.
const SUBMISSIONS_MAX: u32 = 4096;

/// Completions that can wait for us: eight bursts that fill the submission queue.
const COMPLETIONS_MAX: u32 = 32768;

/// What a worker cannot do without, and the kernel that first had it. All of it is 6.1 or older.
const NEEDED: [(&str, u8); 6] = [
    ("RECVMSG", opcode::RecvMsg::CODE),
    ("SEND", opcode::Send::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
    // Came with 6.1, as did a destination for SEND and DEFER_TASKRUN.
    ("SENDMSG_ZC", opcode::SendMsgZc::CODE),
    ("SEND_ZC", opcode::SendZc::CODE),
];

/// A ring whose completions run only when its owner enters the kernel. Must be called on the thread that will use it:
/// the kernel refuses any other. Errors: EINVAL for a kernel before 6.1, EPERM where io_uring is disabled, ENOSYS where
/// it was not built or is filtered, ENOMEM for want of locked memory.
pub fn build() -> io::Result<IoUring> {
    match build_with(true) {
        // NO_SQARRAY came with 6.6; nothing depends on it.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => build_with(false),
        result => result,
    }
}

fn build_with(no_sqarray: bool) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .setup_submit_all()
        .setup_cqsize(COMPLETIONS_MAX)
        .dontfork();
    if no_sqarray {
        builder.setup_no_sqarray();
    }
    builder.build(SUBMISSIONS_MAX)
}

/// The first operation that a worker needs and this kernel lacks. Errors: it cannot even be asked.
pub fn missing_operation(ring: &IoUring) -> io::Result<Option<&'static str>> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let missing = NEEDED.iter().find(|(_, code)| !probe.is_supported(*code));
    Ok(missing.map(|(name, _)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_all_that_is_needed() {
        let ring = build().expect("a ring");
        assert_eq!(missing_operation(&ring).expect("an answer"), None);
        assert!(ring.params().cq_entries() >= COMPLETIONS_MAX);
    }
}
