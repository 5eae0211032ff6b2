//! rtpengine as the peer to compare with: Debian's daemon in userspace mode, driven by its ng control protocol
//! (bencoded dictionaries over UDP).

use crate::child::Running;
use crate::ledger::LegAddresses;
use crate::netns::{CALLED_RTP, CALLER, CALLER_RTP, TESTED};
use crate::place::Place;
use crate::speech::Codec;
use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::time::Duration;

const CONTROL: SocketAddrV4 = SocketAddrV4::new(TESTED, 2223);

/// Starts the daemon at the given place.
pub fn start(folder: &Path, place: &Place) -> Result<Running> {
    let log = std::fs::File::create(folder.join("rtpengine.log"))?;
    let mut command = place.command("rtpengine");
    command.args([
        "--config-file=none",
        "--foreground",
        "--log-stderr",
        "--log-level=4",
        "--table=-1",
    ]);
    command
        .arg(format!("--interface={TESTED}"))
        .arg(format!("--listen-ng={CONTROL}"));
    command.args([
        "--port-min=20000",
        "--port-max=29999",
        "--timeout=7200",
        "--silent-timeout=7200",
        "--num-threads=1",
        "--no-fallback",
    ]);
    command.arg(format!(
        "--pidfile={}",
        folder.join("rtpengine.pid").display()
    ));
    command.stdout(log.try_clone()?).stderr(log);
    Running::start("rtpengine", &mut command)
}

/// Sets up so many calls between these codecs; call it in the load's namespace. Their legs, callers first.
pub fn set_up(calls: u32, codecs: [Codec; 2]) -> Result<Vec<LegAddresses>> {
    // The callee is offered its own codec only, so that rtpengine has to transcode where it is not the caller's.
    let transcode = match codecs {
        [a, b] if a == b => String::new(),
        [a, b] => dictionary(&[
            ("mask", list(a.encoding())),
            ("transcode", list(b.encoding())),
        ]),
    };
    let control = UdpSocket::bind((CALLER, 0))?;
    control.set_read_timeout(Some(Duration::from_millis(500)))?;
    wait_for_answer(&control)?;
    let (mut callers, mut called) = (Vec::new(), Vec::new());
    for call in 0..calls {
        let port = 30_000 + 4 * call as u16;
        let (a, b) = (
            SocketAddrV4::new(CALLER_RTP, port),
            SocketAddrV4::new(CALLED_RTP, port),
        );
        let id = format!("call-{call}");
        let mut offer = vec![
            ("command", text("offer")),
            ("call-id", text(&id)),
            ("from-tag", text("a")),
            ("sdp", text(&description(a, codecs[0]))),
        ];
        if !transcode.is_empty() {
            offer.push(("codec", transcode.clone()));
        }
        let for_b = port_of(&ask(&control, call * 2, &offer)?, codecs[1])?;
        let answer = [
            ("command", text("answer")),
            ("call-id", text(&id)),
            ("from-tag", text("a")),
            ("to-tag", text("b")),
            ("sdp", text(&description(b, codecs[1]))),
        ];
        let for_a = port_of(&ask(&control, call * 2 + 1, &answer)?, codecs[0])?;
        callers.push(LegAddresses {
            local: a,
            gateway: SocketAddrV4::new(TESTED, for_a),
        });
        called.push(LegAddresses {
            local: b,
            gateway: SocketAddrV4::new(TESTED, for_b),
        });
    }
    callers.extend(called);
    Ok(callers)
}

fn wait_for_answer(control: &UdpSocket) -> Result<()> {
    for _ in 0..40 {
        match ask(control, 999_999, &[("command", text("ping"))]) {
            Ok(_) => return Ok(()),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    bail!("rtpengine does not answer on {CONTROL}")
}

/// A bencoded string.
fn text(word: &str) -> String {
    format!("{}:{word}", word.len())
}

/// A bencoded list of one string.
fn list(word: &str) -> String {
    format!("l{}e", text(word))
}

/// A bencoded dictionary of bencoded values.
fn dictionary(entries: &[(&str, String)]) -> String {
    let entries = entries.iter().map(|(key, value)| text(key) + value);
    format!("d{}e", entries.collect::<String>())
}

fn ask(control: &UdpSocket, cookie: u32, entries: &[(&str, String)]) -> Result<String> {
    let request = format!("{cookie} {}", dictionary(entries));
    control.send_to(request.as_bytes(), CONTROL)?;
    let mut answer = [0; 4096];
    let length = control.recv(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    if answer.contains("6:result5:error") {
        bail!("rtpengine: {answer}");
    }
    Ok(answer)
}

fn description(address: SocketAddrV4, codec: Codec) -> String {
    let (ip, port): (&Ipv4Addr, u16) = (address.ip(), address.port());
    let (format, encoding) = (codec.payload_type(), codec.encoding());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {format}\r\n\
         a=rtpmap:{format} {encoding}/8000\r\na=ptime:20\r\n"
    )
}

/// The port that it tells; an error if it does not tell this codec first.
fn port_of(answer: &str, codec: Codec) -> Result<u16> {
    let after = answer
        .split_once("m=audio ")
        .context("no audio in rtpengine's answer")?
        .1;
    let words: Vec<&str> = after.split_ascii_whitespace().take(3).collect();
    let [port, _, format] = words[..] else {
        bail!("rtpengine: {answer}")
    };
    if format.parse() != Ok(codec.payload_type()) {
        bail!("rtpengine does not take {}: {answer}", codec.name());
    }
    Ok(port.parse()?)
}
