//! What is wrong in a file and where: findings, and how they are shown.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// What is wrong with the files: one or more finished diagnostics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// One diagnostic each: `file:line:col: what is wrong; what would be right`.
    pub lines: Vec<String>,
    /// For each line, the part of the file that it is about.
    excerpts: Vec<Option<Excerpt>>,
}

/// Whether parts of a file are shown in colors, for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colors {
    /// They are.
    On,
    /// They are not.
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    file: Arc<Source>,
    span: Range<usize>,
}

/// A file's name and text.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    name: String,
    text: String,
    /// Where each line begins, so that thousands of findings are placed quickly.
    lines: Vec<usize>,
}

impl Source {
    fn new(name: String, text: String) -> Self {
        let after_newline = text.match_indices('\n').map(|(place, _)| place.saturating_add(1));
        let lines = std::iter::once(0).chain(after_newline).collect();
        Self { name, text, lines }
    }

    /// Returns the line of a byte, counted from 1, and where the line begins.
    fn line(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        (line, self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default())
    }

    /// Returns the line and the column of a byte, both counted from 1, the column in characters.
    fn place(&self, offset: usize) -> (usize, usize) {
        let (line, start) = self.line(offset);
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.chars().count().saturating_add(1))
    }

    /// Draws the lines that `span` touches, with a mark below it.
    fn excerpt(&self, span: &Range<usize>, renderer: &Renderer) -> String {
        let (line, start) = self.line(span.start);
        let (last, _) = self.line(span.end);
        let end = self.lines.get(last).copied().unwrap_or(self.text.len());
        let text = self.text.get(start..end).unwrap_or_default();
        let marked = span.start.saturating_sub(start)..span.end.saturating_sub(start);
        let annotation = AnnotationKind::Primary.span(marked);
        let snippet = Snippet::source(text).line_start(line).annotation(annotation);
        renderer.render(&[Group::with_level(Level::ERROR).element(snippet)])
    }
}

impl ConfigErrors {
    /// Makes the one error of a file that could not even be read.
    pub(super) fn unreadable(line: String) -> Self {
        Self { lines: vec![line], excerpts: vec![None] }
    }

    pub(super) fn none() -> Self {
        Self { lines: Vec::new(), excerpts: Vec::new() }
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.excerpts.extend(other.excerpts);
    }

    /// Returns each line with its part of the file below it.
    #[must_use]
    pub fn render(&self, colors: Colors) -> String {
        let renderer = match colors {
            Colors::On => Renderer::styled(),
            Colors::Off => Renderer::plain(),
        };
        let mut out = String::new();
        for (line, excerpt) in self.lines.iter().zip(&self.excerpts) {
            out.push_str(line);
            out.push('\n');
            if let Some(Excerpt { file, span }) = excerpt {
                out.push_str(&file.excerpt(span, &renderer));
                out.push('\n');
            }
        }
        out
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

/// One file, and what was found in it so far.
///
/// Findings are taken through a shared reference, so that every part of a file can be looked at
/// before any of them is reported.
#[derive(Debug)]
pub(super) struct File {
    source: Arc<Source>,
    errors: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
}

#[derive(Debug)]
struct Finding {
    span: Range<usize>,
    message: String,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// That it cannot be read, or is no UTF-8.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let name = path.display();
        let bytes = std::fs::read(path).map_err(|error| {
            ConfigErrors::unreadable(format!(
                "{name}: reading the file failed: {}; it must be a file that this user may read",
                reason(&error)
            ))
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let readable = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let (line, column) = Source::new(String::new(), readable).place(valid);
            ConfigErrors::unreadable(format!(
                "{name}:{line}:{column}: the file is not UTF-8 text; save it as UTF-8"
            ))
        })?;
        Ok(Self::new(name.to_string(), text))
    }

    pub(super) fn new(name: String, text: String) -> Self {
        Self {
            source: Arc::new(Source::new(name, text)),
            errors: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.source.name
    }

    pub(super) fn text(&self) -> &str {
        &self.source.text
    }

    /// Returns the line of a byte, counted from 1.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.source.line(offset).0
    }

    /// Returns the line and the column of a byte, both counted from 1.
    pub(super) fn place_of(&self, offset: usize) -> (usize, usize) {
        self.source.place(offset)
    }

    /// Notes an error: what is wrong and, after a semicolon, what would be right.
    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>) {
        self.errors.borrow_mut().push(Finding { span, message: message.into() });
    }

    /// Notes something that is legal but likely not meant.
    pub(super) fn warn(&self, span: Range<usize>, message: impl Into<String>) {
        self.warnings.borrow_mut().push(Finding { span, message: message.into() });
    }

    /// Returns every error, in line order.
    pub(super) fn errors(&self) -> ConfigErrors {
        let mut found = self.errors.borrow_mut();
        found.sort_by_key(|finding| finding.span.start);
        let excerpt = |finding: &Finding| Excerpt {
            file: Arc::clone(&self.source),
            span: finding.span.clone(),
        };
        ConfigErrors {
            lines: found.iter().map(|finding| self.line(finding)).collect(),
            excerpts: found.iter().map(|finding| Some(excerpt(finding))).collect(),
        }
    }

    /// Returns every warning as a finished line, in line order.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut found = self.warnings.borrow_mut();
        found.sort_by_key(|finding| finding.span.start);
        found.iter().map(|finding| self.line(finding)).collect()
    }

    fn line(&self, finding: &Finding) -> String {
        let (line, column) = self.source.place(finding.span.start);
        // What is quoted may hold anything; a diagnostic stays one line.
        let escaped = |character: char| {
            let (plain, hidden) = match character.is_control() {
                true => (None, Some(character.escape_default())),
                false => (Some(character), None),
            };
            plain.into_iter().chain(hidden.into_iter().flatten())
        };
        let message: String = finding.message.chars().flat_map(escaped).collect();
        format!("{}:{line}:{column}: {message}", self.source.name)
    }
}

/// Returns an I/O error in words, without the number.
pub(super) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
