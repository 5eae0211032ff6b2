//! Asks name servers, a bounded number of questions at a time. The control loop's own thread does it: a question is a
//! datagram or two, and nothing blocks.

use super::input::Input;
use crate::control::locate::names::Answer;
use crate::sip::resolve::{Naptr, Question, RECORDS_MAX, Records, Srv};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Most look-ups at once.
const RUNNING_MAX: usize = 64;
/// Most questions that wait for a turn. Beyond it a question is as if no name server had answered.
const WAITING_MAX: usize = 8192;
/// How long one name server has to answer one try.
const TRY_TIME: Duration = Duration::from_millis(1500);
/// Tries of one question.
const TRIES: usize = 2;
/// How long a look-up may take in all, with every name server and every search domain.
const TIME_MAX: Duration = Duration::from_secs(4);

/// See the module's comment.
pub struct Resolver {
    inputs: mpsc::Sender<Input>,
    /// None if this machine names no name server.
    servers: Option<TokioResolver>,
    running: JoinSet<()>,
    waiting: VecDeque<Question>,
}

impl Resolver {
    /// Answers go to `inputs`. Without `servers` it asks those of the system (`/etc/resolv.conf`). Must be made inside
    /// the runtime.
    pub fn new(inputs: mpsc::Sender<Input>, servers: &[SocketAddr]) -> Resolver {
        Resolver {
            inputs,
            servers: open(servers),
            running: JoinSet::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Asks other name servers from now on, or those that the system has now.
    pub fn set_servers(&mut self, servers: &[SocketAddr]) {
        self.servers = open(servers);
    }

    /// Asks now or when there is a turn. False if too many wait already: nothing will come.
    pub fn resolve(&mut self, question: Question) -> bool {
        if self.running.len() < RUNNING_MAX {
            self.start(question);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(question);
        } else {
            return false;
        }
        true
    }

    /// Waits for a look-up to end, and gives its turn to the next question. Pending for ever if none runs.
    pub async fn turn(&mut self) {
        match self.running.join_next().await {
            None => std::future::pending().await,
            // Its question is asked again when the wait for it is over.
            Some(Err(error)) => tracing::error!(%error, "a look-up failed"),
            Some(Ok(())) => {}
        }
        if let Some(question) = self.waiting.pop_front() {
            self.start(question);
        }
    }

    fn start(&mut self, question: Question) {
        let inputs = self.inputs.clone();
        let servers = self.servers.clone();
        self.running.spawn(async move {
            let answer = match servers {
                Some(servers) => look_up(&servers, &question).await,
                None => Answer::Failed,
            };
            let _ = inputs.send(Input::Resolved { question, answer }).await;
        });
    }
}

fn open(servers: &[SocketAddr]) -> Option<TokioResolver> {
    let provider = TokioRuntimeProvider::default();
    let builder = if servers.is_empty() {
        TokioResolver::builder(provider)
    } else {
        let servers = servers.iter().map(|address| {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut server.connections {
                connection.port = address.port();
            }
            server
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        Ok(TokioResolver::builder_with_config(config, provider))
    };
    let opened = builder.and_then(|mut builder| {
        limit(builder.options_mut());
        builder.build()
    });
    opened
        .inspect_err(|error| tracing::error!(%error, "no name server: host names are not resolved"))
        .ok()
}

fn limit(options: &mut ResolverOpts) {
    options.timeout = TRY_TIME;
    options.attempts = TRIES;
    // Control keeps the answers, with their times to live.
    options.cache_size = 0;
    // Most SIP networks are of IPv4; the other family is tried next.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // As resolv.conf(5) says.
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
}

async fn look_up(servers: &TokioResolver, question: &Question) -> Answer {
    let asking = async {
        match question {
            // A host may be short, and found in a search domain or in /etc/hosts.
            Question::Address(name) => {
                let found = servers.lookup_ip(name.as_str()).await?;
                let addresses = found.iter().take(RECORDS_MAX).collect();
                Ok((Records::Addresses(addresses), found.valid_until()))
            }
            Question::Srv(name) => records(servers, name, RecordType::SRV).await,
            Question::Naptr(name) => records(servers, name, RecordType::NAPTR).await,
        }
    };
    match tokio::time::timeout(TIME_MAX, asking).await {
        Ok(Ok((records, valid_until))) => Answer::Records {
            records,
            ttl: Some(valid_until.saturating_duration_since(Instant::now())),
        },
        Ok(Err(error)) => of_error(question, &error),
        Err(_) => {
            tracing::warn!(name = question.name(), "no name server answers");
            Answer::Failed
        }
    }
}

async fn records(
    servers: &TokioResolver,
    name: &str,
    kind: RecordType,
) -> Result<(Records, Instant), NetError> {
    let found = servers.lookup(format!("{name}."), kind).await?;
    let records = match kind {
        RecordType::SRV => Records::Srv(srv(&found)),
        _ => Records::Naptr(naptr(&found)),
    };
    Ok((records, found.valid_until()))
}

fn srv(found: &Lookup) -> Vec<Srv> {
    let records = found.answers().iter().filter_map(|one| match &one.data {
        RData::SRV(record) => Some(Srv {
            priority: record.priority,
            weight: record.weight,
            port: record.port,
            target: plain(&record.target),
        }),
        _ => None,
    });
    records.take(RECORDS_MAX).collect()
}

fn naptr(found: &Lookup) -> Vec<Naptr> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let records = found.answers().iter().filter_map(|one| match &one.data {
        RData::NAPTR(record) => Some(Naptr {
            order: record.order,
            preference: record.preference,
            flags: text(&record.flags),
            services: text(&record.services),
            regexp: text(&record.regexp),
            replacement: plain(&record.replacement),
        }),
        _ => None,
    });
    records.take(RECORDS_MAX).collect()
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

/// That there is nothing is an answer; that nobody knows is none.
fn of_error(question: &Question, error: &NetError) -> Answer {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if matches!(
                none.response_code,
                ResponseCode::NXDomain | ResponseCode::NoError
            ) =>
        {
            Answer::Records {
                records: Records::none(question),
                ttl: none.negative_ttl.map(|s| Duration::from_secs(s.into())),
            }
        }
        error => {
            tracing::warn!(name = question.name(), %error, "name not resolved");
            Answer::Failed
        }
    }
}

#[cfg(test)]
mod tests;
