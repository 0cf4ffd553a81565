//! `leasehold replay`: answers a capture offline.

mod output;
mod port;
mod row;
mod summary;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::output::{Writer, refuse_to_overwrite, write_fixture};
use self::port::Port;
use self::row::Row;
use self::summary::Summary;
use super::{ExitStatus, Failure, check, print};
use crate::config::Config;
use crate::lease::{NicName, VmId};
use crate::outcome::{DropReason, Outcome, Protocol};
use crate::replay::{Capture, CaptureError, CaptureTime, Captured, Event, Fixture, Replay};
use crate::responder::Turn;
use crate::wire::{Frame, Mac};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The capture, pcap or pcapng
    file: PathBuf,
    /// The VM whose port it was made on
    #[arg(long)]
    vm: VmId,
    /// Which of the VM's interfaces [default: the only one that the network or --store names, else "default"]
    #[arg(long)]
    nic: Option<NicName>,
    /// The network [default: the one with an entry for the VM, or the only one]
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// The port's known MAC: frames from another one are dropped
    #[arg(long)]
    mac: Option<Mac>,
    /// The port is a trunk: the tag of the network's [match] vlan is served
    #[arg(long)]
    trunk: bool,
    /// Take the lease that the VM holds, from the daemon or its store, not one of an empty table
    #[arg(long)]
    store: bool,
    /// Write the replies to a pcap file, with the times of what they answer
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the VM's frames and the answers to a new folder, as a case of packet-fixtures
    #[arg(long, value_name = "DIR")]
    fixture: Option<PathBuf>,
    /// Print one JSON object a frame
    #[arg(long)]
    json: bool,
}

pub(super) fn replay(path: &Path, options: &Options) -> Result<(), Failure> {
    let config = check::load(path)?;
    let port = Port::find(path, &config, options)?;
    let capture = Capture::open(&options.file, port.binding.source_mac).map_err(unreadable)?;
    refuse_to_overwrite(options)?;
    if !options.json {
        print(&port.headline())?;
    }
    let mut session = Session {
        options,
        replay: Replay::new(Arc::clone(&port.binding)),
        writer: options.out.as_deref().map(Writer::create).transpose()?,
        fixture: Fixture::default(),
        summary: Summary::default(),
    };
    // What was read before a fault is shown, counted and written all the same.
    let mut fault = None;
    for captured in capture {
        match captured {
            Ok(captured) => session.show(&captured)?,
            Err(error) => fault = Some(error),
        }
    }
    session.finish(&config, &port)?;
    match fault {
        None => Ok(()),
        // Whoever stops tcpdump leaves such a file.
        Some(error @ CaptureError::Cut { .. }) => {
            eprintln!("{error}");
            Ok(())
        }
        Some(error) => Err(unreadable(error)),
    }
}

/// One run through a capture.
struct Session<'a> {
    options: &'a Options,
    replay: Replay,
    writer: Option<Writer>,
    fixture: Fixture,
    summary: Summary,
}

impl Session<'_> {
    /// Answers one frame, prints its line, and keeps what is to be written.
    fn show(&mut self, captured: &Captured) -> Result<(), Failure> {
        let first = *self.summary.first.get_or_insert(captured.time);
        self.summary.last = captured.time;
        let mut row = Row::unread(captured);
        match &captured.frame {
            Err(unreadable) => row.explanation = Some(unreadable.to_string()),
            Ok(ethernet) => {
                let frame = ethernet.frame();
                row.source = ethernet.source().map(|mac| mac.to_string());
                row.vlan = ethernet.vlan;
                match self.replay.handle(&frame) {
                    Event::ToGuest(told) => row.tell(&told),
                    Event::FromGuest(turn) => {
                        self.keep(captured.time, &frame, &turn)?;
                        row.decide(&turn, self.replay.replies().frames().next());
                    }
                }
            }
        }
        self.summary.count(&row);
        if self.options.json {
            let line = serde_json::to_string(&row).map_err(|error| {
                Failure::new(ExitStatus::Software, format!("writing JSON: {error}"))
            })?;
            return print(&format!("{line}\n"));
        }
        print(&row.line(&captured.time.seconds_since(first)))
    }

    fn keep(&mut self, time: CaptureTime, frame: &Frame<'_>, turn: &Turn) -> Result<(), Failure> {
        let replies = self.replay.replies();
        if let Some(writer) = &mut self.writer {
            for reply in replies.frames() {
                writer.write(time, reply)?;
            }
        }
        // A case is made of what the socket's filter lets through.
        let is_seen = turn.outcome
            != Outcome::dropped(Protocol::Other, turn.outcome.message, DropReason::NotForUs);
        if self.options.fixture.is_some() && is_seen {
            self.fixture.add(frame, turn, replies);
        }
        Ok(())
    }

    fn finish(self, config: &Config, port: &Port) -> Result<(), Failure> {
        let mut text = format!("\n{}\n", self.summary.line());
        if let Some(writer) = self.writer {
            let _ = writeln!(text, "wrote {}", writer.finish()?);
        }
        if let Some(folder) = &self.options.fixture {
            text.push_str(&write_fixture(config, port, (self.options, folder, &self.fixture))?);
        }
        if self.options.json { Ok(()) } else { print(&text) }
    }
}

fn usage(text: String) -> Failure {
    Failure::new(ExitStatus::Usage, text)
}

/// A capture that cannot be read is a wrong argument, unless a permission is missing.
fn unreadable(error: CaptureError) -> Failure {
    let code = match &error {
        CaptureError::Open { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
            ExitStatus::NoPermission
        }
        CaptureError::Open { .. }
        | CaptureError::Read(_)
        | CaptureError::NotACapture(_)
        | CaptureError::LinkType { .. }
        | CaptureError::Cut { .. }
        | CaptureError::Damaged { .. } => ExitStatus::Usage,
    };
    Failure::new(code, error.to_string())
}
