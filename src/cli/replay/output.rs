//! What a replay writes: the replies as a capture, and the frames as a case of packet-fixtures.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::port::Port;
use super::{Options, usage};
use crate::cli::{ExitStatus, Failure};
use crate::config::Config;
use crate::replay::{CaptureTime, CaptureWriter, Fixture, FixturePort};

/// The file of `--out`.
pub(super) struct Writer {
    name: String,
    capture: CaptureWriter<BufWriter<File>>,
    replies: u64,
}

impl Writer {
    /// Makes the file, or empties it.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let capture = File::create(path)
            .and_then(|file| CaptureWriter::new(BufWriter::new(file)))
            .map_err(|error| unwritten(&name, &error))?;
        Ok(Self { name, capture, replies: 0 })
    }

    /// Writes one reply.
    pub(super) fn write(&mut self, time: CaptureTime, reply: &[u8]) -> Result<(), Failure> {
        self.replies = self.replies.saturating_add(1);
        self.capture.write(time, reply).map_err(|error| unwritten(&self.name, &error))
    }

    /// Ends the file; returns what was written in words.
    pub(super) fn finish(self) -> Result<String, Failure> {
        self.capture.finish().map_err(|error| unwritten(&self.name, &error))?;
        let replies = if self.replies == 1 { "reply" } else { "replies" };
        Ok(format!("{} {replies} to {}", self.replies, self.name))
    }
}

/// Writes the folder of `--fixture`; returns what was written in words.
pub(super) fn write_fixture(
    config: &Config,
    port: &Port,
    (options, folder, fixture): (&Options, &Path, &Fixture),
) -> Result<String, Failure> {
    let name = folder.display();
    if fixture.is_empty() {
        return Err(usage(format!(
            "writing the case {name}: the capture has no frame of the VM's that is for leasehold"
        )));
    }
    let lease = &port.assignment.lease;
    let capture = options.file.file_name().unwrap_or_default().to_string_lossy();
    let described = FixturePort {
        capture: &capture,
        key: &port.binding.key,
        deployment: &config.deployment,
        mac: options.mac,
        trunk_vlan: port.binding.trunk_vlan,
        held: (!port.is_fresh).then_some((lease.ipv4, lease.ipv6)),
        template: &port.template,
    };
    let template =
        fixture.write(folder, &described).map_err(|error| unwritten(&name.to_string(), &error))?;
    let frames = if fixture.len() == 1 { "frame" } else { "frames" };
    Ok(format!(
        "wrote a case of {} {frames} to {name}; to run it, put the folder into packet-fixtures and \
         {} into packet-fixtures/networks\n",
        fixture.len(),
        template.display(),
    ))
}

/// Refuses to write over the capture, or into a folder that holds something, before anything is
/// written.
pub(super) fn refuse_to_overwrite(options: &Options) -> Result<(), Failure> {
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    if let Some(out) = &options.out
        && identity(out).is_some_and(|out| identity(&options.file) == Some(out))
    {
        let out = out.display();
        return Err(usage(format!("--out {out}: it is the capture itself; name another file")));
    }
    if let Some(folder) = &options.fixture
        && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
    {
        let folder = folder.display();
        return Err(usage(format!("--fixture {folder}: it is not empty; name a new folder")));
    }
    Ok(())
}

fn unwritten(name: &str, error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => ExitStatus::NoPermission,
        _ => ExitStatus::OsError,
    };
    Failure::new(code, format!("writing {name}: {error}"))
}
