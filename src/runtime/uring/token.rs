//! What a completion belongs to: the 64 bits of user data that a submission carries and its completions bring back.
//!
//! ```text
//!  63      56 55      48 47            32 31                             0
//! ┌──────────┬──────────┬────────────────┬────────────────────────────────┐
//! │ kind     │ component│ leg            │ generation                     │
//! └──────────┴──────────┴────────────────┴────────────────────────────────┘
//! ```

use crate::media::{Component, LegSlot};

/// The owner of a submission on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm {
    /// Whose socket.
    pub leg: LegSlot,
    /// Which of its two.
    pub component: Component,
    /// Which opening of the leg's sockets: a completion of an earlier one is late and is recognised by it.
    pub generation: u32,
}

/// What was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// The multishot receive on a socket.
    Receive(Arm),
    /// A send; it completes visibly only when it failed.
    Send(Arm),
    /// A cancel of a receive; it completes visibly only when there was none.
    Cancel,
    /// The poll on the worker's bell.
    Bell,
}

const RECEIVE: u64 = 1;
const SEND: u64 = 2;
const CANCEL: u64 = 3;
const BELL: u64 = 4;

impl Token {
    /// The user data of a submission.
    #[inline]
    pub fn pack(self) -> u64 {
        match self {
            Token::Receive(arm) => RECEIVE << 56 | arm.pack(),
            Token::Send(arm) => SEND << 56 | arm.pack(),
            Token::Cancel => CANCEL << 56,
            Token::Bell => BELL << 56,
        }
    }

    /// The owner of a completion. None for user data that nobody here has packed.
    #[inline]
    pub fn unpack(user_data: u64) -> Option<Token> {
        match user_data >> 56 {
            RECEIVE => Some(Token::Receive(Arm::unpack(user_data))),
            SEND => Some(Token::Send(Arm::unpack(user_data))),
            CANCEL => Some(Token::Cancel),
            BELL => Some(Token::Bell),
            _ => None,
        }
    }
}

impl Arm {
    fn pack(self) -> u64 {
        let component = u64::from(self.component == Component::Rtcp);
        component << 48 | u64::from(self.leg.0) << 32 | u64::from(self.generation)
    }

    fn unpack(user_data: u64) -> Arm {
        Arm {
            leg: LegSlot((user_data >> 32) as u16),
            component: match user_data >> 48 & 1 {
                0 => Component::Rtp,
                _ => Component::Rtcp,
            },
            generation: user_data as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        for leg in [0, 1, 499, u16::MAX] {
            for component in [Component::Rtp, Component::Rtcp] {
                for generation in [0, 1, u32::MAX] {
                    let arm = Arm {
                        leg: LegSlot(leg),
                        component,
                        generation,
                    };
                    for token in [Token::Receive(arm), Token::Send(arm)] {
                        assert_eq!(Token::unpack(token.pack()), Some(token));
                    }
                }
            }
        }
        for token in [Token::Cancel, Token::Bell] {
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
        assert_eq!(Token::unpack(0), None);
        assert_eq!(Token::unpack(u64::MAX), None);
    }
}
