//! Log lines: to the journal under systemd, else to standard error; never waiting for a reader.
//!
//! A line is made where the event happens and queued; one thread writes. A line that finds the
//! queue full is dropped and counted, so that a terminal that hangs, or a journal that does not
//! read, stops nobody. Control characters in what is logged are written as escapes: whatever a
//! guest or a database row puts into a value, it makes one line and no colours.

use std::env;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use super::journal;
use crate::clock;
use crate::time::Wall;

/// Keeps the log's end in order: dropped, it waits for what is queued, for a second at most.
#[derive(Debug)]
#[must_use = "dropped at once, it waits for nothing"]
pub struct LogGuard {
    queue: SyncSender<Entry>,
}

/// The log could not be set up: what was wrong, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// `LEASEHOLD_LOG` cannot be read.
    #[error("{0}")]
    Variable(String),
    /// The system gives no thread, or a log was set up before.
    #[error("{0}")]
    System(String),
}

/// Sets up the process's log, once. `LEASEHOLD_LOG` says what is logged: a level, or
/// `target=level` pairs; `info` if it is not set.
///
/// # Errors
/// [`LogError`] if the variable cannot be read, the system gives no thread, or a log was set up
/// before.
pub fn init() -> Result<LogGuard, LogError> {
    let filter = filter(env::var(FILTER_VARIABLE).ok().as_deref())?;
    let sink = Sink::choose();
    let form = sink.form();
    let (queue, entries) = mpsc::sync_channel(QUEUE);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_all(&entries, sink, &LOST))
        .map_err(|error| LogError::System(format!("starting the log's thread: {error}")))?;
    let layer = LineLayer { form, queue: queue.clone(), lost: &LOST, wall: clock::wall };
    Registry::default()
        .with(layer)
        .with(filter)
        .try_init()
        .map_err(|error| LogError::System(format!("setting up the log: {error}")))?;
    Ok(LogGuard { queue })
}

/// Returns how many lines were lost because nobody read the log fast enough.
#[must_use]
pub fn lines_dropped() -> u64 {
    LOST.load(Ordering::Relaxed)
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let (done, written) = mpsc::sync_channel(1);
        for _ in 0..FLUSH_TRIES {
            match self.queue.try_send(Entry::Flush(done.clone())) {
                Ok(()) => {
                    // In vain after a second: a log that hangs must not keep the process.
                    let _ = written.recv_timeout(FLUSH_STEP * FLUSH_TRIES);
                    return;
                }
                Err(TrySendError::Full(_)) => thread::sleep(FLUSH_STEP),
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }
}

/// An event taken apart: what both forms are made of.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) message: String,
    pub(super) rest: Vec<(&'static str, String)>,
}

impl Fields {
    /// Writes `message key=value ...`; `dim` stands around each `key=`.
    pub(super) fn write(&self, line: &mut String, dim: Style) {
        line.push_str(&self.message);
        for (name, value) in &self.rest {
            let Style { on, off } = dim;
            let _ = write!(line, " {on}{name}={off}");
            // Debug of a text has its quotes already.
            let is_plain = !value.is_empty() && !value.contains([' ', '=', '"']);
            if is_plain || value.starts_with('"') {
                line.push_str(value);
            } else {
                let _ = write!(line, "\"{}\"", value.replace('"', "\\\""));
            }
        }
    }

    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let mut text = Escaped { text: String::new() };
        // Stops at the bound; what was written until then is shown.
        let _ = text.write_fmt(value);
        let Escaped { text } = text;
        if field.name() == "message" {
            self.message = text;
        } else if self.rest.len() < MAX_FIELDS {
            self.rest.push((field.name(), text));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, format_args!("{value}"));
    }
}

/// Two terminal sequences, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    on: &'static str,
    off: &'static str,
}

impl Style {
    pub(super) const PLAIN: Self = Self { on: "", off: "" };
    const DIM: Self = Self { on: "\x1b[2m", off: "\x1b[0m" };

    fn of(level: Level) -> Self {
        let on = match level {
            Level::ERROR => "\x1b[31m",
            Level::WARN => "\x1b[33m",
            Level::INFO => "\x1b[32m",
            Level::DEBUG => "\x1b[34m",
            Level::TRACE => "\x1b[35m",
        };
        Self { on, off: "\x1b[0m" }
    }
}

/// Takes text and keeps it one harmless line of bounded length.
struct Escaped {
    text: String,
}

impl fmt::Write for Escaped {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            if self.text.len() >= MAX_VALUE {
                self.text.push_str("...");
                return Err(fmt::Error);
            }
            if character.is_control() || turns_text(character) {
                self.text.extend(character.escape_default());
            } else {
                self.text.push(character);
            }
        }
        Ok(())
    }
}

/// Tells whether a terminal might reorder or break the line at `character`.
const fn turns_text(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A line with time and level.
    Plain,
    /// The same with colours.
    Coloured,
    /// A datagram to the journal, which has its own time.
    Journal,
}

impl Form {
    fn encode(self, metadata: &Metadata<'_>, fields: &Fields, at: Wall) -> Vec<u8> {
        let level = *metadata.level();
        let (dim, bright) = match self {
            Self::Journal => return journal::encode(level, metadata.target(), fields),
            Self::Plain => (Style::PLAIN, Style::PLAIN),
            Self::Coloured => (Style::DIM, Style::of(level)),
        };
        let mut line = String::new();
        let time = at.to_rfc3339();
        let _ = write!(line, "{}{time}{} {}{level:>5}{} ", dim.on, dim.off, bright.on, bright.off);
        fields.write(&mut line, dim);
        line.push('\n');
        line.into_bytes()
    }
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Turns events into queued entries.
#[derive(Debug)]
struct LineLayer {
    form: Form,
    queue: SyncSender<Entry>,
    lost: &'static AtomicU64,
    wall: fn() -> Wall,
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let entry = self.form.encode(event.metadata(), &fields, (self.wall)());
        if self.queue.try_send(Entry::Line(entry)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Where entries go.
#[derive(Debug)]
enum Sink {
    Stderr,
    Journal(UnixDatagram),
}

impl Sink {
    fn choose() -> Self {
        let stream = env::var(JOURNAL_VARIABLE).unwrap_or_default();
        let metadata = io::stderr().as_fd().try_clone_to_owned().and_then(|stderr| {
            let stderr = File::from(stderr).metadata()?;
            Ok((stderr.dev(), stderr.ino()))
        });
        if metadata.is_ok_and(|stderr| is_journal(&stream, stderr)) {
            // Without its socket the journal still reads standard error.
            if let Ok(socket) = journal::connect() {
                return Self::Journal(socket);
            }
        }
        Self::Stderr
    }

    fn form(&self) -> Form {
        let is_plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Self::Journal(_) => Form::Journal,
            Self::Stderr if io::stderr().is_terminal() && !is_plain => Form::Coloured,
            Self::Stderr => Form::Plain,
        }
    }

    fn write(&self, entry: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().lock().write_all(entry),
            Self::Journal(socket) => socket.send(entry).map(drop),
        }
    }
}

/// Writes entries until every sender is gone.
fn write_all(entries: &Receiver<Entry>, sink: Sink, lost: &AtomicU64) {
    let mut reported = 0;
    for entry in entries {
        let line = match entry {
            Entry::Line(line) => line,
            Entry::Flush(done) => {
                let _ = done.try_send(());
                continue;
            }
        };
        if sink.write(&line).is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        // Only after a line that got through: a report that fails must not make another.
        let total = lost.load(Ordering::Relaxed);
        if total > reported {
            tracing::warn!(lines = total - reported, "log lines were lost: nobody read them");
            reported = total;
        }
    }
}

fn filter(text: Option<&str>) -> Result<EnvFilter, LogError> {
    let text = text.filter(|text| !text.trim().is_empty()).unwrap_or("info");
    let fault = |error: &dyn fmt::Display| {
        LogError::Variable(format!(
            "reading {FILTER_VARIABLE}={text:?}: {error}: give a level (error, warn, info, debug, \
             trace) or target=level pairs"
        ))
    };
    // A word that is no level would be taken for a target, and nothing else be logged.
    for word in text.split(',').map(str::trim) {
        if !word.contains(['=', '[', ':']) && word.parse::<LevelFilter>().is_err() {
            return Err(fault(&format_args!("{word:?} is no level")));
        }
    }
    EnvFilter::try_new(text).map_err(|error| fault(&error))
}

/// Tells whether `stream`, the value of `JOURNAL_STREAM`, names the file with this device and
/// inode: only then is standard error still what systemd made it.
fn is_journal(stream: &str, (device, inode): (u64, u64)) -> bool {
    stream == format!("{device}:{inode}")
}

const FILTER_VARIABLE: &str = "LEASEHOLD_LOG";

const JOURNAL_VARIABLE: &str = "JOURNAL_STREAM";

/// Lines that may wait for the writer.
const QUEUE: usize = 4_096;

/// Bytes of one value that are shown.
const MAX_VALUE: usize = 2_048;

/// Fields of one event that are shown.
const MAX_FIELDS: usize = 16;

const FLUSH_TRIES: u32 = 100;

const FLUSH_STEP: Duration = Duration::from_millis(10);

static LOST: AtomicU64 = AtomicU64::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what `log` queues in `form`, and how many lines it lost.
    fn logged(form: Form, room: usize, log: impl FnOnce()) -> (Vec<String>, u64) {
        let (queue, entries) = mpsc::sync_channel(room);
        let lost = Box::leak(Box::new(AtomicU64::new(0)));
        let layer = LineLayer { form, queue, lost, wall: || Wall(1_795_571_589) };
        tracing::subscriber::with_default(Registry::default().with(layer), log);
        let lines = entries.try_iter().map(|entry| match entry {
            Entry::Line(line) => String::from_utf8(line).unwrap(),
            Entry::Flush(_) => unreachable!("nobody flushes here"),
        });
        (lines.collect(), lost.load(Ordering::Relaxed))
    }

    fn line(log: impl FnOnce()) -> String {
        let (lines, lost) = logged(Form::Plain, 1, log);
        assert_eq!((lines.len(), lost), (1, 0));
        lines.concat()
    }

    #[test]
    fn a_line_has_time_level_message_and_fields() {
        assert_eq!(
            line(|| tracing::info!(interface = "tap0", vm = %"demo/web-1", n = 7, "port serving")),
            "2026-11-25T01:53:09Z  INFO port serving interface=tap0 vm=demo/web-1 n=7\n"
        );
    }

    #[test]
    fn a_value_with_blanks_or_quotes_is_quoted() {
        assert_eq!(
            line(|| tracing::error!(a = "x y", b = "", c = "k=v", d = ?"q\"", e = "a\"b", "m")),
            "2026-11-25T01:53:09Z ERROR m a=\"x y\" b=\"\" c=\"k=v\" d=\"q\\\"\" e=\"a\\\"b\"\n"
        );
    }

    #[test]
    fn what_a_guest_wrote_stays_on_one_line_without_escapes() {
        let hostile = "x\x1b[31m\r\n2026 ERROR fake\u{202e}\u{9b}\u{7}";
        let line =
            line(|| tracing::warn!(display = %hostile, debug = ?hostile, hostile, "{hostile}"));
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        let body = line.strip_suffix('\n').unwrap();
        assert!(!body.chars().any(|c| c.is_control() || turns_text(c)), "{line:?}");
        assert!(body.contains(r"x\u{1b}[31m\r\n2026 ERROR fake\u{202e}\u{9b}\u{7} display="));
    }

    #[test]
    fn a_long_value_is_cut() {
        let line = line(|| tracing::info!(long = "é".repeat(10_000), "m"));
        assert!(line.ends_with("é...\n"));
        assert!(line.len() < MAX_VALUE + 64);
    }

    #[test]
    fn lines_beyond_the_queue_are_dropped_and_counted() {
        let (lines, lost) = logged(Form::Plain, 2, || {
            for n in 0..5 {
                tracing::info!(n, "m");
            }
        });
        assert_eq!((lines.len(), lost), (2, 3));
        assert!(lines[1].ends_with("n=1\n"));
    }

    #[test]
    fn colours_stand_around_time_level_and_names_only() {
        let (lines, _) = logged(Form::Coloured, 1, || tracing::info!(a = "\x1b[5m", "m"));
        assert_eq!(
            lines.concat(),
            "\x1b[2m2026-11-25T01:53:09Z\x1b[0m \x1b[32m INFO\x1b[0m m \x1b[2ma=\x1b[0m\\u{1b}[5m\n"
        );
    }

    #[test]
    fn the_writer_sends_entries_in_order_and_answers_a_flush() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let (queue, entries) = mpsc::sync_channel(4);
        let lost = AtomicU64::new(0);
        let (done, written) = mpsc::sync_channel(1);
        queue.send(Entry::Line(b"one".to_vec())).unwrap();
        queue.send(Entry::Line(b"two".to_vec())).unwrap();
        queue.send(Entry::Flush(done)).unwrap();
        drop(queue);
        write_all(&entries, Sink::Journal(theirs), &lost);
        assert_eq!(written.try_recv(), Ok(()));
        let mut buffer = [0; 8];
        for expected in [b"one", b"two"] {
            let length = ours.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], expected);
        }
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_journal_that_is_gone_costs_lines_only() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        drop(ours);
        let (queue, entries) = mpsc::sync_channel(4);
        let lost = AtomicU64::new(0);
        queue.send(Entry::Line(b"one".to_vec())).unwrap();
        drop(queue);
        write_all(&entries, Sink::Journal(theirs), &lost);
        assert_eq!(lost.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_filter_defaults_to_info_and_names_what_is_wrong() {
        assert_eq!(filter(None).unwrap().to_string(), "info");
        assert_eq!(filter(Some(" ")).unwrap().to_string(), "info");
        assert_eq!(filter(Some("leasehold=debug")).unwrap().to_string(), "leasehold=debug");
        let error = filter(Some("leasehold=loud")).unwrap_err().to_string();
        assert!(error.contains("LEASEHOLD_LOG") && error.contains("loud"), "{error}");
    }

    #[test]
    fn a_level_with_a_typing_error_is_no_target() {
        let error = filter(Some("info,wran")).unwrap_err().to_string();
        assert!(error.contains(r#""wran" is no level: give a level"#), "{error}");
        assert!(filter(Some("warn,leasehold::store=trace")).is_ok());
        assert!(filter(Some("WARN")).is_ok());
        assert!(filter(Some("off")).is_ok());
    }

    #[test]
    fn the_journal_is_used_only_if_standard_error_is_its_stream() {
        assert!(is_journal("9:1234", (9, 1234)));
        assert!(!is_journal("9:1234", (9, 1235)));
        assert!(!is_journal("", (0, 0)));
    }
}
