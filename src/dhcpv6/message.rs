//! Guest bytes to a [`ClientMessage`], strictly, and the rules of RFC 9915, section 16.
//!
//! ```text
//!  0               1               2               3
//! +---------------+-----------------------------------------------+
//! |   msg-type    |               transaction-id                  |
//! +---------------+---------------+-------------------------------+
//! |          option-code          |          option-len           |  ...
//! +-------------------------------+-------------------------------+
//! ```
//!
//! A message is read once, with bounds on everything: options, associations, addresses, depth.
//! What is not read here is stepped over by its length. Names are never taken apart.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::Registration;
use super::options::code;
use crate::network::Lifetime;
use crate::outcome::{DropReason, Message};
use crate::wire::bytes::Reader;

/// The message types that a server takes from a client (RFC 9915, section 7.3; RFC 9686, section
/// 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Solicit,
    Request,
    Confirm,
    Renew,
    Rebind,
    Release,
    Decline,
    InformationRequest,
    /// ADDR-REG-INFORM.
    AddressRegistration,
}

/// Reads the message type.
///
/// # Errors
/// What the message is called and why it is dropped: too short for a header, a relay's, a server's
/// or of no known type.
pub(super) fn kind(payload: &[u8]) -> Result<Kind, (Message, DropReason)> {
    let Some((&[kind, ..], _)) = payload.split_first_chunk::<HEADER>() else {
        return Err((Message::Unknown, DropReason::TooShort));
    };
    match kind {
        1 => Ok(Kind::Solicit),
        3 => Ok(Kind::Request),
        4 => Ok(Kind::Confirm),
        5 => Ok(Kind::Renew),
        6 => Ok(Kind::Rebind),
        8 => Ok(Kind::Release),
        9 => Ok(Kind::Decline),
        11 => Ok(Kind::InformationRequest),
        36 => Ok(Kind::AddressRegistration),
        // Advertise and Reply are a server's to send, to the clients' port.
        2 => Err((Message::Advertise, DropReason::UnknownMessage)),
        7 => Err((Message::Reply, DropReason::UnknownMessage)),
        37 => Err((Message::AddressRegistered, DropReason::UnknownMessage)),
        // Relay-forward and Relay-reply: a VM is no relay; what is inside stays unread.
        12 | 13 => Err((Message::Unknown, DropReason::Relayed)),
        _ => Err((Message::Unknown, DropReason::UnknownMessage)),
    }
}

impl From<Kind> for Message {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Solicit => Self::Solicit,
            Kind::Request => Self::Request,
            Kind::Confirm => Self::Confirm,
            Kind::Renew => Self::Renew,
            Kind::Rebind => Self::Rebind,
            Kind::Release => Self::Release,
            Kind::Decline => Self::Decline,
            Kind::InformationRequest => Self::InformationRequest,
            Kind::AddressRegistration => Self::AddressRegistration,
        }
    }
}

/// A client's message, every length in it checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientMessage<'a> {
    pub(super) kind: Kind,
    /// transaction-id.
    pub(super) transaction_id: [u8; 3],
    /// The client's DUID: 3 to 130 bytes, opaque.
    pub(super) client_id: Option<&'a [u8]>,
    server_id: Option<&'a [u8]>,
    /// Option codes, two bytes each.
    requested: Option<&'a [u8]>,
    /// Option 14, which has no body.
    pub(super) rapid_commit: Option<()>,
    /// The flags of option 39 (RFC 4704, section 4.1).
    pub(super) fqdn_flags: Option<u8>,
    /// Option 61: numbers of two bytes each.
    pub(super) architectures: Option<&'a [u8]>,
    /// Option 15.
    pub(super) user_class: Option<&'a [u8]>,
    /// The first option 16.
    pub(super) vendor_class: Option<&'a [u8]>,
    /// The IA Address option of an ADDR-REG-INFORM, which stands in no association.
    pub(super) registration: Option<RegistrationOption<'a>>,
    associations: [Option<Association<'a>>; MAX_ASSOCIATIONS],
}

impl<'a> ClientMessage<'a> {
    /// Reads a message of the type `kind`.
    ///
    /// # Errors
    /// [`DropReason::BadOption`], [`DropReason::TooManyOptions`] or [`DropReason::ClientId`].
    pub(super) fn parse(kind: Kind, payload: &'a [u8]) -> Result<Self, DropReason> {
        let mut reader = Reader::new(payload);
        let [_, a, b, c] = reader.array::<HEADER>().ok_or(DropReason::TooShort)?;
        let mut message = Self {
            kind,
            transaction_id: [a, b, c],
            client_id: None,
            server_id: None,
            requested: None,
            rapid_commit: None,
            fqdn_flags: None,
            architectures: None,
            user_class: None,
            vendor_class: None,
            registration: None,
            associations: [None; MAX_ASSOCIATIONS],
        };
        let mut elapsed_time = None;
        let mut budget = Budget(MAX_OPTIONS);
        while let Some((code, body)) = next_option(&mut reader, &mut budget)? {
            match code {
                code::CLIENT_ID => {
                    once(&mut message.client_id, body)?;
                    // RFC 9915, section 11.1: a type of two bytes, then 1 to 128 bytes.
                    if !(3..=130).contains(&body.len()) {
                        return Err(DropReason::ClientId);
                    }
                }
                code::SERVER_ID => once(&mut message.server_id, body)?,
                code::ORO => {
                    once(&mut message.requested, body)?;
                    if !body.len().is_multiple_of(2) {
                        return Err(DropReason::BadOption);
                    }
                    if body.len() > MAX_REQUESTED.saturating_mul(2) {
                        return Err(DropReason::TooManyOptions);
                    }
                }
                code::ELAPSED_TIME => once(&mut elapsed_time, exact::<2>(body)?)?,
                code::RAPID_COMMIT => {
                    exact::<0>(body)?;
                    once(&mut message.rapid_commit, ())?;
                }
                code::RECONF_ACCEPT => exact::<0>(body).map(drop)?,
                code::CLIENT_FQDN => {
                    let flags = body.first().ok_or(DropReason::BadOption)?;
                    once(&mut message.fqdn_flags, *flags)?;
                }
                // What is malformed inside fits no boot rule, and is no reason to be silent.
                code::CLIENT_ARCHITECTURE => once(&mut message.architectures, body)?,
                code::USER_CLASS => once(&mut message.user_class, body)?,
                // One for each enterprise (RFC 9915, section 21.16); PXE and UEFI send one.
                code::VENDOR_CLASS => {
                    message.vendor_class.get_or_insert(body);
                }
                code::IA_ADDR if kind == Kind::AddressRegistration => {
                    let option = RegistrationOption::parse(body, &mut budget)?;
                    once(&mut message.registration, option)?;
                }
                code::IA_NA => message.add(Association::parse(IaKind::Na, body, &mut budget)?)?,
                code::IA_TA => message.add(Association::parse(IaKind::Ta, body, &mut budget)?)?,
                code::IA_PD => message.add(Association::parse(IaKind::Pd, body, &mut budget)?)?,
                _ => {}
            }
        }
        Ok(message)
    }

    /// Applies RFC 9915, sections 16.2 to 16.12, for the server that `server_duid` names.
    ///
    /// # Errors
    /// [`DropReason::ClientId`], [`DropReason::ServerId`] or [`DropReason::Invalid`].
    pub(super) fn validate(&self, server_duid: &[u8]) -> Result<(), DropReason> {
        let ours = self.server_id.map(|duid| duid == server_duid);
        match self.kind {
            // 16.2, 16.5, 16.7.
            Kind::Solicit | Kind::Confirm | Kind::Rebind => {
                self.client_id.ok_or(DropReason::ClientId)?;
                if ours.is_some() {
                    return Err(DropReason::ServerId);
                }
            }
            // 16.4, 16.6, 16.8, 16.9.
            Kind::Request | Kind::Renew | Kind::Decline | Kind::Release => {
                self.client_id.ok_or(DropReason::ClientId)?;
                if ours != Some(true) {
                    return Err(DropReason::ServerId);
                }
            }
            // 16.12: both identifiers may be missing.
            Kind::InformationRequest => {
                if ours == Some(false) {
                    return Err(DropReason::ServerId);
                }
                if self.associations().next().is_some() {
                    return Err(DropReason::Invalid);
                }
            }
            // RFC 9686, section 4.2.1.
            Kind::AddressRegistration => {
                self.client_id.ok_or(DropReason::ClientId)?;
                if ours.is_some() {
                    return Err(DropReason::ServerId);
                }
                let registered = self.registration.ok_or(DropReason::Invalid)?;
                // RFC 9915, section 21.6, has the lifetimes in this order.
                if self.requested.is_some() || registered.value.preferred > registered.value.valid {
                    return Err(DropReason::Invalid);
                }
            }
        }
        Ok(())
    }

    /// Returns the identity associations in the order of the message.
    pub(super) fn associations(&self) -> impl Iterator<Item = &Association<'a>> {
        self.associations.iter().flatten()
    }

    /// Tells whether the Option Request option names `code`.
    pub(super) fn requests(&self, code: u16) -> bool {
        let (codes, _) = self.requested.unwrap_or_default().as_chunks::<2>();
        codes.contains(&code.to_be_bytes())
    }

    fn add(&mut self, association: Association<'a>) -> Result<(), DropReason> {
        let free = self.associations.iter_mut().find(|slot| slot.is_none());
        *free.ok_or(DropReason::TooManyOptions)? = Some(association);
        Ok(())
    }
}

/// The kinds of identity association (RFC 9915, sections 21.4, 21.5 and 21.21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IaKind {
    /// Non-temporary addresses.
    Na,
    /// Temporary addresses, which RFC 9915 has retired.
    Ta,
    /// Delegated prefixes.
    Pd,
}

/// An identity association as the client sent it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Association<'a> {
    pub(super) kind: IaKind,
    /// The client's name for the association; 0 is as good as any.
    pub(super) iaid: u32,
    options: &'a [u8],
}

impl<'a> Association<'a> {
    /// Returns what the client holds or hopes for in the association, an address as a /128.
    pub(super) fn members(&self) -> impl Iterator<Item = Ipv6Net> {
        let (kind, mut reader) = (self.kind, Reader::new(self.options));
        // `parse` has walked the same bytes, so the walk fails at their end only.
        let options = std::iter::from_fn(move || next_option(&mut reader, &mut Budget(1)).ok()?);
        options.filter_map(move |(code, body)| Some(member(kind, code, body).ok()??.prefix))
    }

    fn parse(kind: IaKind, body: &'a [u8], budget: &mut Budget) -> Result<Self, DropReason> {
        let mut reader = Reader::new(body);
        let iaid = reader.u32().ok_or(DropReason::BadOption)?;
        match kind {
            // T1 and T2 are hints that a server need not follow; ours come from the template.
            IaKind::Na | IaKind::Pd => {
                reader.take(8).ok_or(DropReason::BadOption)?;
            }
            IaKind::Ta => {}
        }
        let options = reader.rest();
        let mut members = 0_usize;
        while let Some((code, body)) = next_option(&mut reader, budget)? {
            if [code::IA_NA, code::IA_TA, code::IA_PD].contains(&code) {
                return Err(DropReason::TooManyOptions);
            }
            if let Some(member) = member(kind, code, body)? {
                members = members.saturating_add(1);
                if members > MAX_MEMBERS {
                    return Err(DropReason::TooManyOptions);
                }
                member.check_options(budget)?;
            }
        }
        Ok(Self { kind, iaid, options })
    }
}

/// An IA Address or IA Prefix option (RFC 9915, sections 21.6 and 21.22).
struct Member<'a> {
    prefix: Ipv6Net,
    options: &'a [u8],
}

impl Member<'_> {
    /// Walks the innermost options: nothing in them matters but that they are whole and hold no
    /// association in turn.
    fn check_options(&self, budget: &mut Budget) -> Result<(), DropReason> {
        let mut reader = Reader::new(self.options);
        while let Some((code, _)) = next_option(&mut reader, budget)? {
            if CONTAINERS.contains(&code) {
                return Err(DropReason::TooManyOptions);
            }
        }
        Ok(())
    }
}

/// Reads one option of an association of the kind `kind`; `None` if it is no member of it.
fn member(kind: IaKind, code: u16, body: &[u8]) -> Result<Option<Member<'_>>, DropReason> {
    let mut reader = Reader::new(body);
    let (address, length) = match (kind, code) {
        (IaKind::Na | IaKind::Ta, code::IA_ADDR) => {
            let address = reader.array::<16>().ok_or(DropReason::BadOption)?;
            reader.take(8).ok_or(DropReason::BadOption)?;
            (address, 128)
        }
        (IaKind::Pd, code::IA_PREFIX) => {
            reader.take(8).ok_or(DropReason::BadOption)?;
            let length = reader.u8().ok_or(DropReason::BadOption)?;
            (reader.array::<16>().ok_or(DropReason::BadOption)?, length)
        }
        (IaKind::Na | IaKind::Ta | IaKind::Pd, _) => return Ok(None),
    };
    let prefix = Ipv6Net::new(Ipv6Addr::from(address), length);
    let prefix = prefix.map_err(|_| DropReason::BadOption)?;
    Ok(Some(Member { prefix, options: reader.rest() }))
}

/// The IA Address option of an ADDR-REG-INFORM.
#[derive(Debug, Clone, Copy)]
pub(super) struct RegistrationOption<'a> {
    pub(super) value: Registration,
    /// The whole body, which comes back as it is (RFC 9686, section 4.3).
    pub(super) body: &'a [u8],
}

impl<'a> RegistrationOption<'a> {
    fn parse(body: &'a [u8], budget: &mut Budget) -> Result<Self, DropReason> {
        let mut reader = Reader::new(body);
        let address = reader.array::<16>().ok_or(DropReason::BadOption)?.into();
        let preferred = Lifetime(reader.u32().ok_or(DropReason::BadOption)?);
        let valid = Lifetime(reader.u32().ok_or(DropReason::BadOption)?);
        Member { prefix: Ipv6Net::from(address), options: reader.rest() }.check_options(budget)?;
        Ok(Self { value: Registration { address, preferred, valid }, body })
    }
}

/// How many more options a message may have, at all depths together.
struct Budget(usize);

/// Takes the next option; `None` at the end.
fn next_option<'a>(
    reader: &mut Reader<'a>,
    budget: &mut Budget,
) -> Result<Option<(u16, &'a [u8])>, DropReason> {
    if reader.is_empty() {
        return Ok(None);
    }
    budget.0 = budget.0.checked_sub(1).ok_or(DropReason::TooManyOptions)?;
    let code = reader.u16().ok_or(DropReason::BadOption)?;
    let length = reader.u16().ok_or(DropReason::BadOption)?;
    let body = reader.take(usize::from(length)).ok_or(DropReason::BadOption)?;
    Ok(Some((code, body)))
}

/// Fills `slot`; an option that may stand once stands twice otherwise.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), DropReason> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(DropReason::BadOption),
    }
}

/// Reads an option of a fixed length.
fn exact<const N: usize>(body: &[u8]) -> Result<[u8; N], DropReason> {
    body.try_into().map_err(|_| DropReason::BadOption)
}

/// msg-type and transaction-id.
const HEADER: usize = 4;
/// Options of a message, at all depths together; real clients send about ten.
const MAX_OPTIONS: usize = 64;
/// Identity associations of a message.
const MAX_ASSOCIATIONS: usize = 4;
/// Addresses or prefixes of an association.
const MAX_MEMBERS: usize = 8;
/// Codes in the Option Request option; real clients send about twenty.
const MAX_REQUESTED: usize = 128;
/// Options that may not stand inside an address or prefix.
const CONTAINERS: [u16; 5] =
    [code::IA_NA, code::IA_TA, code::IA_PD, code::IA_ADDR, code::IA_PREFIX];
