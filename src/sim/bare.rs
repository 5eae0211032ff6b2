//! What a gateway asks of its machine and no simulated machine has: names to look up, sounds, files.

use crate::control::Controller;
use crate::control::controller::Output;
use crate::control::recordings::Recorded;
use crate::control::sounds::SoundAnswer;
use std::time::Instant;

/// Answers that there is none. What must not be asked, if it was: a history has no host names.
pub(super) fn answer(controller: &mut Controller, now: Instant, output: Output) -> Option<String> {
    match output {
        Output::Resolve { question } => return Some(format!("a look-up of {question:?}")),
        Output::Sounds(question) => {
            controller.handle_sounds(now, SoundAnswer::nothing(&question));
        }
        Output::Record(order) => {
            let failed = Recorded {
                asker: order.asker,
                path: None,
            };
            controller.handle_recorded(now, failed);
        }
        Output::Transmit(_)
        | Output::Command(..)
        | Output::CloseFlow(_)
        | Output::Known(_)
        | Output::Store(_)
        | Output::Drained => {}
    }
    None
}
