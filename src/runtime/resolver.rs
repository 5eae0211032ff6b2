//! Looks host names up, a bounded number at a time, on threads that may block.

use super::input::Input;
use std::collections::VecDeque;
use std::net::{IpAddr, ToSocketAddrs};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Most look-ups at once; each holds a thread for as long as the system's resolver takes.
const RUNNING_MAX: usize = 8;
/// Most names that wait for a turn. Beyond it a name is answered as not known.
const WAITING_MAX: usize = 1024;

/// See the module's comment.
#[derive(Debug)]
pub struct Resolver {
    inputs: mpsc::Sender<Input>,
    running: JoinSet<()>,
    waiting: VecDeque<String>,
}

impl Resolver {
    /// Answers go to `inputs`.
    pub fn new(inputs: mpsc::Sender<Input>) -> Resolver {
        Resolver {
            inputs,
            running: JoinSet::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Looks a name up now or when there is a turn. False if too many wait already: nothing will come.
    pub fn resolve(&mut self, host: String) -> bool {
        if self.running.len() < RUNNING_MAX {
            self.start(host);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(host);
        } else {
            return false;
        }
        true
    }

    /// Waits for a look-up to end, and gives its turn to the next name. Pending for ever if none runs.
    pub async fn turn(&mut self) {
        if self.running.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
        if let Some(host) = self.waiting.pop_front() {
            self.start(host);
        }
    }

    fn start(&mut self, host: String) {
        let inputs = self.inputs.clone();
        self.running.spawn_blocking(move || {
            let addresses = look_up(&host);
            // Blocks this thread, not the loop, while the queue is full.
            let _ = inputs.blocking_send(Input::Resolved { host, addresses });
        });
    }
}

fn look_up(host: &str) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    match (host, 0).to_socket_addrs() {
        Ok(found) => {
            for address in found.map(|address| address.ip()) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Err(error) => tracing::warn!(host, %error, "name not resolved"),
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_resolved_a_few_at_a_time() {
        let (inputs, mut received) = mpsc::channel(4);
        let mut resolver = Resolver::new(inputs);
        for _ in 0..RUNNING_MAX + 3 {
            assert!(resolver.resolve(String::from("127.0.0.9")));
        }
        assert_eq!(
            (resolver.running.len(), resolver.waiting.len()),
            (RUNNING_MAX, 3)
        );
        for _ in 0..RUNNING_MAX + 3 {
            let answer = loop {
                tokio::select! {
                    answer = received.recv() => break answer,
                    () = resolver.turn() => {}
                }
            };
            let Some(Input::Resolved { host, addresses }) = answer else {
                panic!("an answer")
            };
            assert_eq!(
                (host.as_str(), addresses),
                ("127.0.0.9", vec![IpAddr::from([127, 0, 0, 9])])
            );
        }
    }

    #[tokio::test]
    async fn a_name_that_is_none_has_no_address() {
        assert!(look_up("name.invalid.").is_empty());
    }

    #[tokio::test]
    async fn too_many_names_are_refused() {
        let (inputs, _received) = mpsc::channel(1);
        let mut resolver = Resolver::new(inputs);
        let taken = (0..WAITING_MAX + RUNNING_MAX + 1)
            .filter(|_| resolver.resolve(String::from("127.0.0.9")))
            .count();
        assert_eq!(taken, WAITING_MAX + RUNNING_MAX);
    }
}
