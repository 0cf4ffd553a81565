//! Writes an answer: header, identities, associations or status, then the options that fit.

use super::Profile;
use super::decide::Answer;
use super::ia::{self, Stale};
use super::message::ClientMessage;
use super::options::{Encoded, Form, Sent, Within, code};
use crate::wire::bytes::{Full, Writer};

/// Writes the reply to `message` into `out` and returns its length.
///
/// # Errors
/// [`Full`] if not even what must be there fits; an option of the table that does not fit is left
/// out, and the most needed come first.
pub(super) fn write(
    profile: &Profile,
    message: &ClientMessage<'_>,
    answer: Answer,
    out: &mut [u8],
) -> Result<usize, Full> {
    let mut writer = Writer::new(out);
    writer.u8(match answer {
        Answer::Advertise => ADVERTISE,
        Answer::RapidCommit
        | Answer::Assign
        | Answer::Extend
        | Answer::Information
        | Answer::Confirm(_)
        | Answer::Acknowledge => REPLY,
        Answer::Registered => ADDR_REG_REPLY,
    })?;
    writer.bytes(&message.transaction_id)?;
    option(&mut writer, code::SERVER_ID, &profile.server_duid)?;
    // An Information-request may come without one (18.3.6).
    if let Some(client_id) = message.client_id {
        option(&mut writer, code::CLIENT_ID, client_id)?;
    }
    match answer {
        Answer::Advertise | Answer::Assign => {
            ia::write_granted(profile, message, Stale::Ignored, &mut writer)?;
        }
        Answer::RapidCommit => {
            option(&mut writer, code::RAPID_COMMIT, &[])?;
            ia::write_granted(profile, message, Stale::Ignored, &mut writer)?;
        }
        Answer::Extend => {
            ia::write_granted(profile, message, Stale::Withdrawn, &mut writer)?;
        }
        Answer::Information => {}
        // 18.3.3: the status alone, no association and no configuration.
        Answer::Confirm(verdict) => {
            status(&mut writer, verdict)?;
            return Ok(writer.len());
        }
        // 18.3.7, 18.3.8: likewise.
        Answer::Acknowledge => {
            status(&mut writer, Status::Success)?;
            ia::write_unbound(profile, message, &mut writer)?;
            return Ok(writer.len());
        }
        // RFC 9686, section 4.3: the client's own option, and nothing that configures.
        Answer::Registered => {
            if let Some(registration) = message.registration {
                option(&mut writer, code::IA_ADDR, registration.body)?;
            }
            return Ok(writer.len());
        }
    }
    let boot = profile.boot.given(message);
    let given = |code: u16| boot.iter().any(|encoded| encoded.code == code);
    let others = profile.options.iter().filter(|encoded| !given(encoded.code));
    for encoded in boot.iter().chain(others) {
        if is_wanted(encoded, message, answer) && encoded.length() <= writer.room() {
            configured(&mut writer, encoded, message)?;
        }
    }
    Ok(writer.len())
}

/// Status codes (RFC 9915, section 21.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    NoAddrsAvail,
    NoBinding,
    NotOnLink,
    NoPrefixAvail,
}

impl Status {
    /// Returns the code and the text for the client's log.
    const fn wire(self) -> (u16, &'static str) {
        match self {
            Self::Success => (0, "done"),
            Self::NoAddrsAvail => (2, "no address is left for this association"),
            Self::NoBinding => (3, "nothing is held in this association"),
            Self::NotOnLink => (4, "not the address of this port"),
            Self::NoPrefixAvail => (6, "no prefix is left for this association"),
        }
    }
}

/// Writes a Status Code option.
///
/// # Errors
/// [`Full`] if it does not fit.
pub(super) fn status(writer: &mut Writer<'_>, status: Status) -> Result<(), Full> {
    let (number, text) = status.wire();
    let start = open(writer, code::STATUS_CODE)?;
    writer.u16(number)?;
    writer.bytes(text.as_bytes())?;
    close(writer, start)
}

/// Where the body of an option that is being written begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start(usize);

/// Begins an option whose length is not known yet.
///
/// # Errors
/// [`Full`] if its head does not fit.
pub(super) fn open(writer: &mut Writer<'_>, code: u16) -> Result<Start, Full> {
    writer.u16(code)?;
    writer.u16(0)?;
    Ok(Start(writer.len()))
}

/// Ends an option: fills in its length.
///
/// # Errors
/// [`Full`] if the body is longer than an option can be.
pub(super) fn close(writer: &mut Writer<'_>, Start(body): Start) -> Result<(), Full> {
    let length = writer.len().checked_sub(body).ok_or(Full)?;
    let field = body.checked_sub(2).ok_or(Full)?;
    writer.patch_u16(field, u16::try_from(length).map_err(|_| Full)?)
}

/// Writes an option whole.
fn option(writer: &mut Writer<'_>, code: u16, body: &[u8]) -> Result<(), Full> {
    let start = open(writer, code)?;
    writer.bytes(body)?;
    close(writer, start)
}

/// Writes an option of the profile.
fn configured(
    writer: &mut Writer<'_>,
    encoded: &Encoded,
    message: &ClientMessage<'_>,
) -> Result<(), Full> {
    let start = open(writer, encoded.code)?;
    match encoded.form {
        Form::Plain => {}
        Form::ClientFqdn => writer.u8(fqdn_flags(message.fqdn_flags))?,
    }
    writer.bytes(&encoded.body)?;
    close(writer, start)
}

/// Tells whether `encoded` belongs into this answer.
fn is_wanted(encoded: &Encoded, message: &ClientMessage<'_>, answer: Answer) -> bool {
    let within = match encoded.within {
        Within::Configuration => true,
        Within::Advertise => answer == Answer::Advertise,
        Within::Information => answer == Answer::Information,
    };
    within
        && match encoded.sent {
            Sent::Always => true,
            Sent::Requested => message.requests(encoded.code),
        }
}

/// Returns the flags of our Client FQDN option (RFC 4704, section 4.1).
///
/// We update no DNS: N is 1, so S is 0; O says that a client which asked for S was overruled.
fn fqdn_flags(client: Option<u8>) -> u8 {
    match client.unwrap_or(0) & FQDN_S {
        0 => FQDN_N,
        _ => FQDN_N | FQDN_O,
    }
}

/// Message types (RFC 9915, section 7.3).
const ADVERTISE: u8 = 2;
const REPLY: u8 = 7;
/// RFC 9686, section 4.3.
const ADDR_REG_REPLY: u8 = 37;

/// Flags of option 39 (RFC 4704, section 4.1).
const FQDN_S: u8 = 0x01;
const FQDN_O: u8 = 0x02;
const FQDN_N: u8 = 0x04;
