//! From checked settings to a serving gateway: sockets, workers, the control loop. What cannot be had is said with what
//! to change, before anything serves.

use super::admin_loop;
use super::bell::Bell;
use super::control_loop::{ControlLoop, GATHER_US, Phase};
use super::input::{INPUTS_MAX, Input};
use super::logging::{self, BadLevels, LogFormat, Logging};
use super::pace::Pace;
use super::preflight::{self, PreflightError};
use super::recordings::{self, RecordingsHandle};
use super::reload::{Loader, Reading};
use super::resolver::Resolver;
use super::signals::Signals;
use super::sip_streams::{StreamLimits, Streams};
use super::sockets::{Intake, Sockets, listen};
use super::sounds::{self, SoundsHandle};
use super::store_thread::{self, StoreHandle};
use super::surroundings::Machine;
use super::tls::{Contexts, Crypto};
use super::topology::{self, Topology, TopologyError, WorkerHandle};
use crate::admin::{Asked, Guard};
use crate::config::settings::{Admin, Settings, Transport};
use crate::control::Controller;
use crate::control::admission::strangers::Strangers;
use crate::control::setup::Setup;
use crate::link::{PortRange, WorkerId};
use crate::metrics::{ControlMetrics, WorkerCollector};
use crate::sip::{Protocol, TransportId};
use nix::sys::signal::{SigSet, Signal};
use prometheus::process_collector::ProcessCollector;
use rustc_hash::FxHashMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What a gateway starts from.
pub struct Launch {
    /// The first reading of the configuration.
    pub reading: Reading,
    /// Reads it again.
    pub loader: Loader,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which are written: the value of [`logging::LEVEL_VARIABLE`].
    pub log_levels: Option<String>,
}

/// Where a gateway can be reached.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Name, protocol and address of each transport.
    pub sip: Vec<(String, Protocol, SocketAddr)>,
    /// The RTP ports.
    pub rtp: PortRange,
    /// First and last, as configured.
    pub rtp_ports: (u16, u16),
    /// The core of each media worker; None where pinning was not allowed.
    pub worker_cores: Vec<Option<usize>>,
    /// The admin address.
    pub admin: SocketAddr,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something else has a SIP port.
    #[error(
        "{address} {protocol} is in use: change transport.{name}.bind, or stop the program that has it (ss -lpn 'sport = :{}' names it)",
        address.port()
    )]
    SipPortTaken {
        /// The transport's section.
        name: String,
        /// `udp`, `tcp` or `tls`.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// A SIP port cannot be had for another reason.
    #[error(
        "{address} {protocol} cannot be bound (transport.{name}.bind): {source}{}",
        advice(source)
    )]
    SipBind {
        /// The transport's section.
        name: String,
        /// `udp`, `tcp` or `tls`.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The admin port cannot be had.
    #[error(
        "{address} tcp, the admin address, cannot be bound (admin.listen): {source}{}",
        advice(source)
    )]
    AdminBind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Cores or ports do not fit.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The machine lacks something that the workers need.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The log levels are not understood.
    #[error(transparent)]
    Levels(#[from] BadLevels),
    /// The operating system refuses something that always works.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// What to do about an error of `bind`.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ": choose another port, or stop the program that has it",
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address, see `ip address`",
        io::ErrorKind::PermissionDenied => {
            ": a port below 1024 needs the capability CAP_NET_BIND_SERVICE, or root"
        }
        _ => "",
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Runs a gateway until it is told to end. `announce` is called once, when it serves.
///
/// # Errors
/// Why it does not start.
pub fn run(launch: Launch, announce: impl FnOnce(&Listening)) -> Result<(), StartError> {
    refuse_to_die_of_large_files().map_err(system("blocking SIGXFSZ"))?;
    let settings = launch.reading.setup.settings();
    let allowed = topology::allowed_cores().map_err(system("reading the CPU affinity"))?;
    let topology = Topology::plan(&settings.rtp, &allowed)?;
    let found = preflight::check(settings, &topology)?;
    for pair in &found.taken {
        eprintln!("warning: {pair}; calls get other ports");
    }
    if let Err(error) = topology::pin(&topology.control_cores) {
        eprintln!("warning: the control thread is not pinned: {error}");
    }
    // After the pinning, so that its thread keeps off the workers' cores.
    let logging = logging::start(launch.log_format, launch.log_levels.clone())?;
    let crypto = Crypto::start(launch.reading.setup.settings())
        .map_err(system("starting the thread for TLS"))?;
    let runtime = tokio_uring::Runtime::new(&tokio_uring::builder())
        .map_err(system("setting up io_uring for the control thread"))?;
    let handle = crypto.as_ref().map(Crypto::handle);
    let ended = runtime.block_on(async {
        let gateway = build(launch, &topology, &found, logging, handle)?;
        announce(&gateway.listening);
        gateway.run().await;
        Ok(())
    });
    // Dropping it would wait for a name look-up that still holds a thread; the process ends without it.
    std::mem::forget(runtime);
    if let Some(crypto) = crypto {
        crypto.stop();
    }
    ended
}

/// A file that has grown to the limit of this process (RLIMIT_FSIZE, LimitFSIZE= of a systemd unit) is an error of that file. Left
/// alone, the kernel's signal would end the gateway and all its calls. Threads inherit this, so it stands before them.
fn refuse_to_die_of_large_files() -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    Ok(signals.thread_block()?)
}

fn build(
    launch: Launch,
    topology: &Topology,
    found: &preflight::Report,
    logging: Logging,
    crypto: Option<Handle>,
) -> Result<ControlLoop, StartError> {
    let setup = launch.reading.setup;
    let settings = setup.settings();
    let (inputs_in, inputs) = mpsc::channel(INPUTS_MAX);
    let (asked_in, asked) = mpsc::channel(admin_loop::REQUESTS_MAX);
    let (stop_admin, admin_stopped) = watch::channel(());
    let mut sockets = bind(settings, &launch.reading.tls, crypto.as_ref())?;
    let admin = serve_admin(&settings.admin, asked_in, admin_stopped)?;
    let mut listening = Listening {
        sip: sockets.addresses.clone(),
        rtp: topology.range,
        rtp_ports: settings.rtp.ports,
        worker_cores: vec![],
        admin,
    };
    let bell = Bell::new().map_err(system("making an eventfd"))?;
    let seed = kernel_seed().map_err(system("reading /dev/urandom"))?;
    let workers = topology::start(topology, &settings.rtp, &bell, seed, worker_died)
        .map_err(system("starting the media workers"))?;
    listening.worker_cores = workers.iter().map(|worker| worker.core).collect();
    let now = Instant::now();
    let mut controller = control(setup, topology, found, now)?;
    let metrics = Arc::clone(controller.metrics());
    register(&metrics, &workers);
    metrics.set_reload_success(true);
    let store = restore(&mut controller, now);

    let nameservers = &controller.setup().settings().global.nameservers;
    let resolver = Resolver::new(inputs_in.clone(), nameservers);
    let streams = streams(&mut sockets, &inputs_in, &metrics, crypto.clone());
    let (sounds, recordings) = file_threads(&inputs_in, &metrics)?;
    let intake = Intake::new(inputs_in, crypto);
    sockets.receive(&intake);
    Ok(ControlLoop {
        controller,
        metrics,
        udp: sockets.udp,
        streams,
        intake,
        handshakes_told: Strangers::default(),
        resolver,
        store,
        sounds,
        recordings,
        workers,
        bell: bell.watched().map_err(system("watching an eventfd"))?,
        inputs,
        asked,
        stop_admin,
        signals: Signals::new().map_err(system("taking over signals"))?,
        loader: launch.loader,
        reloading: JoinSet::new(),
        listening,
        log_lines_dropped: Box::new(move || logging.lines_dropped()),
        phase: Phase::Serving,
        outbox: FxHashMap::default(),
        pace: Pace::new(GATHER_US),
        started: now,
        config_loaded: now,
    })
}

/// The threads that read sounds and write recordings.
fn file_threads(
    inputs: &mpsc::Sender<Input>,
    metrics: &Arc<ControlMetrics>,
) -> Result<(SoundsHandle, RecordingsHandle), StartError> {
    let sounds = sounds::start(inputs.clone());
    let recordings = recordings::start(inputs.clone(), Arc::clone(metrics));
    Ok((
        sounds.map_err(system("starting the thread for sounds"))?,
        recordings.map_err(system("starting the thread for recordings"))?,
    ))
}

fn streams(
    sockets: &mut Sockets,
    inputs: &mpsc::Sender<Input>,
    metrics: &Arc<ControlMetrics>,
    crypto: Option<Handle>,
) -> Streams {
    Streams::new(
        std::mem::take(&mut sockets.streams),
        StreamLimits::default(),
        inputs.clone(),
        Arc::clone(metrics),
        crypto,
    )
}

/// Binds the admin address and serves it in a task.
fn serve_admin(
    settings: &Admin,
    control: mpsc::Sender<Asked>,
    stop: watch::Receiver<()>,
) -> Result<SocketAddr, StartError> {
    let listener = listen(settings.listen).map_err(|source| StartError::AdminBind {
        address: settings.listen,
        source,
    })?;
    let address = listener
        .local_addr()
        .map_err(system("reading the admin address"))?;
    tokio_uring::spawn(admin_loop::serve(
        listener,
        Guard::new(settings),
        control,
        stop,
    ));
    Ok(address)
}

/// A controller that leases no port that something else has.
fn control(
    setup: Setup,
    topology: &Topology,
    found: &preflight::Report,
    now: Instant,
) -> Result<Controller, StartError> {
    let seed = kernel_seed().map_err(system("reading /dev/urandom"))?;
    let machine = Box::new(Machine::default());
    let mut controller = Controller::new(setup, topology.range, seed, machine, now);
    for pair in &found.taken {
        controller.set_port_aside(now, pair.port);
    }
    Ok(controller)
}

/// Who was registered when the gateway ended is reached again before the first message is read.
fn restore(controller: &mut Controller, now: Instant) -> StoreHandle {
    let metrics = Arc::clone(controller.metrics());
    let configured = controller.setup().settings().global.state_dir.clone();
    let (store, records) = store_thread::open(configured.as_deref(), metrics);
    controller.restore_contacts(now, records);
    store
}

fn register(metrics: &ControlMetrics, workers: &[WorkerHandle]) {
    let cells = workers
        .iter()
        .map(|worker| Arc::clone(&worker.cells))
        .collect();
    let registry = metrics.registry();
    registry
        .register(Box::new(WorkerCollector::new(cells)))
        .and_then(|()| registry.register(Box::new(ProcessCollector::for_self())))
        .expect("the catalogue has each name once, and each is registered once");
}

/// A worker cannot be mended while its sockets are bound, and calls without audio are worse than none.
fn worker_died(worker: WorkerId, reason: &str) {
    eprintln!(
        "ringway: media worker {} died: {reason}; the gateway ends",
        worker.0
    );
    std::process::exit(1);
}

fn kernel_seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Binds every transport.
fn bind(
    settings: &Settings,
    tls: &Contexts,
    crypto: Option<&Handle>,
) -> Result<Sockets, StartError> {
    let mut sockets = Sockets::default();
    for (id, transport) in (0..).map(TransportId).zip(&settings.transports) {
        let bound = sockets.bind(id, transport, tls, crypto);
        bound.map_err(|source| sip_bind_error(transport, source))?;
    }
    Ok(sockets)
}

fn sip_bind_error(transport: &Transport, source: io::Error) -> StartError {
    let (name, address) = (transport.name.clone(), transport.bind);
    let protocol = transport.protocol.name();
    match source.kind() {
        io::ErrorKind::AddrInUse => StartError::SipPortTaken {
            name,
            protocol,
            address,
        },
        _ => StartError::SipBind {
            name,
            protocol,
            address,
            source,
        },
    }
}
