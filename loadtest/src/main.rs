//! `ringway-loadtest`: puts a gateway under a real load and prints what it took.
//!
//! SIPp does the signalling on both sides, this program the media. It shares no parser with the gateway.

mod bench;
mod beside;
mod calls;
mod child;
mod compare;
mod gateway;
mod hearing;
mod kamailio;
mod ledger;
mod media;
mod netns;
mod packet;
mod place;
mod probes;
mod processor;
mod report;
mod rtpengine;
mod run;
mod sipp;
mod speech;
mod talks;
mod wire;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use speech::Codec;
use std::path::PathBuf;
use std::time::Duration;

/// Load tests for Ringway. They need SIPp (Debian: sip-tester).
#[derive(Parser)]
struct Arguments {
    /// The gateway's binary
    #[arg(
        long,
        global = true,
        env = "RINGWAY_BINARY",
        default_value = "target/release/ringway"
    )]
    gateway: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Calls with media over loopback
    Run {
        /// Calls at once
        #[arg(long, default_value_t = 500)]
        calls: u32,
        /// Seconds of media with all calls up
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// New calls a second
        #[arg(long, default_value_t = 100)]
        cps: u32,
        /// Caller's and called's codec
        #[arg(long, default_value = "ulaw:ulaw", value_parser = codecs)]
        codecs: [Codec; 2],
    },
    /// Transcoding by Ringway and rtpengine in turn, over veth between network namespaces (root; Debian:
    /// rtpengine-daemon, iproute2)
    BesideRtpengine {
        /// Calls at once
        #[arg(long, default_value_t = 100)]
        calls: u32,
        /// Caller's and called's codec
        #[arg(long, default_value = "ulaw:g722", value_parser = codecs)]
        codecs: [Codec; 2],
        /// Rounds of both
        #[arg(long, default_value_t = 5)]
        rounds: u32,
    },
    /// New calls at a steady rate, without media; the gateway on one core, the load on another
    Calls {
        /// New calls a second
        #[arg(long, default_value_t = 200)]
        cps: u32,
        /// For so many seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Telephones that are registered and register again every 60 s
        #[arg(long, default_value_t = 0)]
        phones: u32,
        /// Reloads of the configuration meanwhile
        #[arg(long, default_value_t = 0)]
        reloads: u32,
        /// Then the same calls through Kamailio (Debian: kamailio)
        #[arg(long)]
        beside_kamailio: bool,
    },
    /// Ringway and rtpengine in turn, over veth between network namespaces (root; Debian: rtpengine-daemon, iproute2)
    Compare {
        /// Calls at once
        #[arg(long, default_value_t = 1000)]
        calls: u32,
        /// Rounds of both
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// Packets a second of the fixed-rate part
        #[arg(long, default_value_t = 50_000.0)]
        rate: f64,
        /// Seconds of the fixed-rate part, for each
        #[arg(long, default_value_t = 12)]
        seconds: u64,
        /// Packets leave at multiples of so many microseconds, as a network card's interrupt moderation hands them
        /// over; 0: one by one
        #[arg(long, default_value_t = 100)]
        grain_us: u64,
        /// More lines for Ringway's [rtp], for trying settings
        #[arg(long, default_value = "")]
        rtp: String,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    raise_open_files()?;
    let gateway = arguments.gateway;
    match arguments.command {
        Command::Run {
            calls,
            seconds,
            cps,
            codecs,
        } => run::with_media(&run::LoadTest {
            gateway,
            calls,
            seconds,
            cps,
            codecs,
        }),
        Command::BesideRtpengine {
            calls,
            codecs,
            rounds,
        } => beside::run(&beside::Beside {
            gateway,
            calls,
            codecs,
            rounds,
        }),
        Command::Calls {
            cps,
            seconds,
            phones,
            reloads,
            beside_kamailio,
        } => calls::run(&calls::CallsTest {
            gateway,
            cps,
            length: Duration::from_secs(seconds),
            phones,
            reloads,
            beside_kamailio,
        }),
        Command::Compare {
            calls,
            rounds,
            rate,
            seconds,
            grain_us,
            rtp,
        } => compare::run(&compare::Comparison {
            gateway,
            calls,
            rounds,
            rate,
            seconds,
            grain: Duration::from_micros(grain_us),
            rtp,
        }),
    }
}

/// Two codec names with a colon between.
fn codecs(text: &str) -> Result<[Codec; 2]> {
    let (a, b) = text
        .split_once(':')
        .context("two codec names with a colon between")?;
    Ok([Codec::named(a)?, Codec::named(b)?])
}

/// A socket a leg needs more open files than the usual soft limit.
fn raise_open_files() -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit of open files")
}
