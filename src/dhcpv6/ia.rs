//! Identity associations: what each one of a message gets (RFC 9915, sections 18.3 and 21.4).
//!
//! A NIC holds at most one address and one delegated prefix. The first IA_NA of a message gets the
//! one and the first IA_PD the other, whatever their IAIDs; further ones are told that there is no
//! more, inside the association. IA_TA is left without an answer.

use ipnet::Ipv6Net;

use super::message::{Association, ClientMessage, IaKind};
use super::options::code;
use super::reply::{self, Status};
use super::{Profile, Times};
use crate::wire::bytes::{Full, Writer};

/// What becomes of an address or prefix that the client names and does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stale {
    /// It was a wish; nothing is said about it.
    Ignored,
    /// The client uses it; it comes back with lifetimes 0.
    Withdrawn,
}

/// Writes every association of `message` under its own IAID with what it gets.
///
/// # Errors
/// [`Full`] if they do not fit.
pub(super) fn write_granted(
    profile: &Profile,
    message: &ClientMessage<'_>,
    stale: Stale,
    writer: &mut Writer<'_>,
) -> Result<(), Full> {
    for (association, held) in grants(profile, message) {
        let Some(form) = Form::of(association.kind) else { continue };
        let start = reply::open(writer, form.code)?;
        writer.u32(association.iaid)?;
        match held {
            Some(prefix) => {
                writer.u32(profile.times.renew.0)?;
                writer.u32(profile.times.rebind.0)?;
                (form.write_member)(writer, prefix, Lifetimes::of(profile.times))?;
            }
            None => writer.zeros(8)?,
        }
        match stale {
            Stale::Ignored => {}
            Stale::Withdrawn => {
                for member in withdrawn(profile, association) {
                    (form.write_member)(writer, member, Lifetimes::ENDED)?;
                }
            }
        }
        if held.is_none() {
            reply::status(writer, form.none_left)?;
        }
        reply::close(writer, start)?;
    }
    Ok(())
}

/// Writes NoBinding for every association that holds nothing (18.3.7, 18.3.8).
///
/// # Errors
/// [`Full`] if they do not fit.
pub(super) fn write_unbound(
    profile: &Profile,
    message: &ClientMessage<'_>,
    writer: &mut Writer<'_>,
) -> Result<(), Full> {
    for (association, held) in grants(profile, message) {
        let Some(form) = Form::of(association.kind) else { continue };
        if held.is_some() {
            continue;
        }
        let start = reply::open(writer, form.code)?;
        writer.u32(association.iaid)?;
        writer.zeros(8)?;
        reply::status(writer, Status::NoBinding)?;
        reply::close(writer, start)?;
    }
    Ok(())
}

/// Joins every association with what it holds; the first of its kind takes all there is.
fn grants<'m, 'a>(
    profile: &Profile,
    message: &'m ClientMessage<'a>,
) -> impl Iterator<Item = (&'m Association<'a>, Option<Ipv6Net>)> {
    let mut address = profile.address.map(Ipv6Net::from);
    let mut prefix = profile.delegated;
    message.associations().map(move |association| {
        let held = match association.kind {
            IaKind::Na => address.take(),
            IaKind::Pd => prefix.take(),
            IaKind::Ta => None,
        };
        (association, held)
    })
}

/// Returns what the client uses in `association` and the NIC does not hold.
///
/// What the NIC holds is never withdrawn, not even in an association that did not get it: the
/// client may take the two for one address. `::` stands for no wish but a length.
fn withdrawn(profile: &Profile, association: &Association<'_>) -> impl Iterator<Item = Ipv6Net> {
    let held = match association.kind {
        IaKind::Na => profile.address.map(Ipv6Net::from),
        IaKind::Pd => profile.delegated,
        IaKind::Ta => None,
    };
    association
        .members()
        .filter(move |member| Some(member.trunc()) != held && !member.addr().is_unspecified())
}

/// How an association of one kind is written.
struct Form {
    code: u16,
    write_member: fn(&mut Writer<'_>, Ipv6Net, Lifetimes) -> Result<(), Full>,
    none_left: Status,
}

impl Form {
    /// Returns the form of `kind`; `None` if it gets no answer.
    fn of(kind: IaKind) -> Option<Self> {
        match kind {
            IaKind::Na => Some(Self {
                code: code::IA_NA,
                write_member: write_address,
                none_left: Status::NoAddrsAvail,
            }),
            IaKind::Pd => Some(Self {
                code: code::IA_PD,
                write_member: write_prefix,
                none_left: Status::NoPrefixAvail,
            }),
            IaKind::Ta => None,
        }
    }
}

/// Preferred and valid lifetime, in seconds.
#[derive(Debug, Clone, Copy)]
struct Lifetimes {
    preferred: u32,
    valid: u32,
}

impl Lifetimes {
    /// Of an address that the client must stop using.
    const ENDED: Self = Self { preferred: 0, valid: 0 };

    const fn of(times: Times) -> Self {
        Self { preferred: times.preferred.0, valid: times.valid.0 }
    }
}

/// Writes an IA Address option (21.6).
fn write_address(
    writer: &mut Writer<'_>,
    address: Ipv6Net,
    lifetimes: Lifetimes,
) -> Result<(), Full> {
    let start = reply::open(writer, code::IA_ADDR)?;
    writer.bytes(&address.addr().octets())?;
    writer.u32(lifetimes.preferred)?;
    writer.u32(lifetimes.valid)?;
    reply::close(writer, start)
}

/// Writes an IA Prefix option (21.22).
fn write_prefix(
    writer: &mut Writer<'_>,
    prefix: Ipv6Net,
    lifetimes: Lifetimes,
) -> Result<(), Full> {
    let start = reply::open(writer, code::IA_PREFIX)?;
    writer.u32(lifetimes.preferred)?;
    writer.u32(lifetimes.valid)?;
    writer.u8(prefix.prefix_len())?;
    writer.bytes(&prefix.addr().octets())?;
    reply::close(writer, start)
}
