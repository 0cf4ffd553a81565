//! `leasehold watch`: the exchanges of the ports as they happen.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{ExitStatus, Failure, arrival, client, counted, decision, printable};
use crate::control::{Answer, Request, WatchEvent, Watched};
use crate::outcome::DropReason;
use crate::replay::{CaptureTime, CaptureWriter};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// This port only, by its interface's name
    #[arg(long)]
    port: Option<String>,
    /// The ports of this VM only
    #[arg(long)]
    vm: Option<String>,
    /// Write the frames, in and out, to a pcap file with times in nanoseconds
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Print one JSON object an exchange
    #[arg(long)]
    json: bool,
}

pub(super) fn watch(config: &Path, options: &Options) -> Result<(), Failure> {
    let socket = client::socket(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|error| failed(&format!("starting the runtime: {error}")))?;
    runtime.block_on(follow(&socket, options))
}

async fn follow(socket: &Path, options: &Options) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut lines = begin(socket, options).await?;
    let mut recorder = options.pcap.as_deref().map(Recorder::create).transpose()?;
    let mut exchanges: usize = 0;
    let ended = loop {
        let line = tokio::select! {
            line = lines.next_line() => line,
            () = signals.any() => break Ended::Told,
        };
        let Ok(Some(line)) = line else { break Ended::DaemonWent };
        match serde_json::from_str(&line) {
            Ok(Answer::Watch(event)) => {
                if let WatchEvent::Exchange(watched) = &event {
                    exchanges = exchanges.saturating_add(1);
                    if let Some(recorder) = &mut recorder {
                        recorder.record(watched)?;
                    }
                }
                if show(&event, options)? == Reader::Went {
                    break Ended::Told;
                }
            }
            Ok(other) => return Err(client::unexpected(other)),
            Err(error) => return Err(failed(&format!("reading the daemon's line: {error}"))),
        }
    };
    let mut text = counted(exchanges, "exchange");
    if let Some(recorder) = recorder {
        text = format!("{text}, {}", recorder.finish()?);
    }
    match ended {
        Ended::Told => {
            eprintln!("{text}");
            Ok(())
        }
        Ended::DaemonWent => {
            Err(Failure::new(ExitStatus::Unavailable, format!("{text}; the daemon has ended")))
        }
    }
}

/// Why a watch is over.
enum Ended {
    Told,
    DaemonWent,
}

/// Whether somebody reads what is printed.
#[derive(PartialEq, Eq)]
enum Reader {
    Reads,
    Went,
}

async fn begin(socket: &Path, options: &Options) -> Result<Lines<BufReader<UnixStream>>, Failure> {
    let unreachable = |error: io::Error| client::unreachable_daemon(socket, &error);
    let mut stream = UnixStream::connect(socket).await.map_err(unreachable)?;
    let request = Request::Watch {
        port: options.port.clone(),
        vm: options.vm.clone(),
        frames: options.pcap.is_some(),
    };
    let mut line = serde_json::to_string(&request)
        .map_err(|error| failed(&format!("writing the request: {error}")))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await.map_err(unreachable)?;
    Ok(BufReader::new(stream).lines())
}

/// Says what is watched; a name that fits no port now may be a typing error.
fn beginning(ports: usize, options: &Options) -> String {
    let wanted = match (&options.port, &options.vm) {
        (Some(port), Some(vm)) => format!("port {port:?} of VM {vm:?}"),
        (Some(port), None) => format!("port {port:?}"),
        (None, Some(vm)) => format!("port of VM {vm:?}"),
        (None, None) => "port".to_owned(),
    };
    if ports == 0 {
        return format!(
            "no {wanted} is served here now, waiting for one; `leasehold ports` lists all"
        );
    }
    format!("watching {}, and those that appear", counted(ports, "port"))
}

fn show(event: &WatchEvent, options: &Options) -> Result<Reader, Failure> {
    let text = match event {
        WatchEvent::Begun { ports } => {
            let end = if io::stderr().is_terminal() { "; Ctrl-C ends it" } else { "" };
            eprintln!("{}{end}", beginning(*ports, options));
            return Ok(Reader::Reads);
        }
        WatchEvent::Missed { exchanges } => {
            let number = if *exchanges == 1 {
                "1 exchange".to_owned()
            } else {
                format!("{exchanges} exchanges")
            };
            eprintln!("{number} not shown: more came than could be written");
            return Ok(Reader::Reads);
        }
        WatchEvent::Exchange(watched) if options.json => {
            let shown = Watched { frames: Vec::new(), ..(**watched).clone() };
            serde_json::to_string(&shown)
                .map_err(|error| failed(&format!("writing JSON: {error}")))?
        }
        WatchEvent::Exchange(watched) => line(watched),
    };
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Went),
        Err(error) => {
            Err(Failure::new(ExitStatus::OsError, format!("writing to standard output: {error}")))
        }
    }
}

fn line(watched: &Watched) -> String {
    // The day is the reader's own: the exchange is now.
    let time = watched.at.get(11..23).unwrap_or(&watched.at);
    let Watched { interface, vm, protocol, verdict, .. } = watched;
    let outcome = decision(verdict, &watched.outcome);
    let what = match &watched.message {
        Some(message) => format!("{message} > {outcome}"),
        None => format!("> {outcome}, not asked for"),
    };
    let address = watched.address.as_ref().map(|text| format!(" {text}")).unwrap_or_default();
    let note = watched.note.as_ref().map(|text| format!(", {text}")).unwrap_or_default();
    let why = watched.explanation.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    let came = arrival(watched.arrived, &watched.outcome);
    // Whose frame it was is the whole question there.
    let foreign =
        watched.source.as_ref().filter(|_| watched.outcome == DropReason::SourceMac.as_str());
    let from = foreign.map(|mac| format!(" (from {mac})")).unwrap_or_default();
    let text = format!("{time} {interface} {vm} {protocol} {what}{address}{note}{why}{from}{came}");
    printable(&text).into_owned()
}

/// The file of `--pcap`.
struct Recorder {
    name: String,
    capture: CaptureWriter<BufWriter<File>>,
    frames: usize,
}

impl Recorder {
    fn create(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let begin = || {
            let mut capture = CaptureWriter::new(BufWriter::new(File::create(path)?))?;
            capture.flush()?;
            Ok(capture)
        };
        let capture = begin().map_err(|error| unwritten(&name, &error))?;
        Ok(Self { name, capture, frames: 0 })
    }

    /// Appends the frames of one exchange; whoever reads the file meanwhile finds them whole.
    fn record(&mut self, watched: &Watched) -> Result<(), Failure> {
        let Self { name, capture, frames } = self;
        for frame in &watched.frames {
            let bytes = bytes(&frame.bytes)
                .ok_or_else(|| failed("reading the daemon's line: a frame is not hexadecimal"))?;
            capture
                .write(CaptureTime(frame.at), &bytes)
                .map_err(|error| unwritten(name, &error))?;
            *frames = frames.saturating_add(1);
        }
        capture.flush().map_err(|error| unwritten(name, &error))
    }

    /// Ends the file; returns what was written in words.
    fn finish(self) -> Result<String, Failure> {
        self.capture.finish().map_err(|error| unwritten(&self.name, &error))?;
        Ok(format!("{} in {}", counted(self.frames, "frame"), self.name))
    }
}

/// What ends a watch.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(ExitStatus::OsError, format!("listening to signals: {error}"))
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let octet = |place| u8::from_str_radix(text.get(place..place + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(octet).collect()
}

fn failed(text: &str) -> Failure {
    Failure::new(ExitStatus::Software, text)
}

fn unwritten(name: &str, error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => ExitStatus::NoPermission,
        _ => ExitStatus::OsError,
    };
    Failure::new(code, format!("writing {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> Watched {
        Watched {
            at: "2026-11-25T01:53:09.012345Z".to_owned(),
            interface: "vnet0".to_owned(),
            vm: "demo/web-1".to_owned(),
            source: None,
            protocol: "dhcpv4".to_owned(),
            message: Some("discover".to_owned()),
            verdict: "reply".to_owned(),
            outcome: "offer".to_owned(),
            note: None,
            arrived: false,
            address: Some("10.20.7.98".to_owned()),
            explanation: None,
            frames: Vec::new(),
        }
    }

    #[test]
    fn an_exchange_is_one_line() {
        assert_eq!(
            line(&watched()),
            "01:53:09.012 vnet0 demo/web-1 dhcpv4 discover > offer 10.20.7.98"
        );
        let arrived = Watched { arrived: true, ..watched() };
        assert_eq!(
            line(&arrived),
            "01:53:09.012 vnet0 demo/web-1 dhcpv4 discover > offer 10.20.7.98; arrived: the VM has \
             come to this port"
        );
        let dropped = Watched {
            verdict: "drop".to_owned(),
            outcome: "no-address".to_owned(),
            address: None,
            explanation: Some("the VM holds none".to_owned()),
            ..watched()
        };
        assert_eq!(
            line(&dropped),
            "01:53:09.012 vnet0 demo/web-1 dhcpv4 discover > drop no-address: the VM holds none"
        );
        let foreign = Watched {
            verdict: "drop".to_owned(),
            outcome: "source-mac".to_owned(),
            address: None,
            source: Some("52:54:00:99:99:99".to_owned()),
            ..watched()
        };
        assert_eq!(
            line(&foreign),
            "01:53:09.012 vnet0 demo/web-1 dhcpv4 discover > drop source-mac (from \
             52:54:00:99:99:99)"
        );
        let due = Watched {
            protocol: "nd".to_owned(),
            message: None,
            outcome: "router-advertisement".to_owned(),
            address: None,
            ..watched()
        };
        assert_eq!(
            line(&due),
            "01:53:09.012 vnet0 demo/web-1 nd > router-advertisement, not asked for"
        );
    }

    #[test]
    fn a_watch_of_nothing_names_what_it_waits_for() {
        let options = |port: Option<&str>, vm: Option<&str>| Options {
            port: port.map(str::to_owned),
            vm: vm.map(str::to_owned),
            pcap: None,
            json: false,
        };
        let port = options(Some("vnte0"), None);
        let waits = "no port \"vnte0\" is served here now, waiting for one; `leasehold ports` \
                     lists all";
        assert_eq!(beginning(0, &port), waits);
        assert!(beginning(0, &options(None, Some("demo/a"))).contains("port of VM \"demo/a\""));
        assert_eq!(beginning(1, &port), "watching 1 port, and those that appear");
        assert!(beginning(0, &options(None, None)).starts_with("no port is served here now"));
    }

    #[test]
    fn frames_are_read_from_hexadecimal() {
        assert_eq!(bytes("00ff7a"), Some(vec![0, 255, 122]));
        assert_eq!(bytes("0"), None);
        assert_eq!(bytes("zz"), None);
        assert_eq!(bytes("é0"), None);
    }
}
