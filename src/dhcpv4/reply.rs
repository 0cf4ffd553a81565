//! An [`Answer`] to the bytes of a BOOTP message: which options, in which order, in which field.
//!
//! Order (clause A8): 53, 54, 51, then what the client listed, 1 and 121 before 3, then what
//! everybody is sent, then 80, 52, 97, 81 and 61. If the options field is too small, `file` and
//! `sname` take options too (RFC 2132, section 9.3) unless they name what to boot, at last an option
//! is split over the fields (RFC 3396). Room is given by priority; what still does not fit is left
//! out, and the reply says so.

use std::net::Ipv4Addr;

use super::boot::Given;
use super::decide::{Answer, AnswerKind};
use super::fqdn;
use super::message::{COOKIE, ETHERNET, FILE, FIXED, Request, SNAME};
use super::options::{Demand, Entry, NO_PLACE, OptionSet, Priority, When, code};
use crate::outcome::Note;
use crate::wire::bytes::{Full, Writer};

/// What a reply may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    /// The NIC's own options.
    pub(super) options: &'a OptionSet,
    /// What the client is given to boot; its options stand before the NIC's of the same code.
    pub(super) boot: Given<'a>,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// How many bytes.
    pub(super) length: usize,
    /// [`Note::OptionsLeftOut`] if an option found no room, else [`Note::RelayInformation`] if the
    /// client sent option 82.
    pub(super) note: Option<Note>,
}

/// Writes the reply to `request` into `out`.
///
/// # Errors
/// [`Full`] if `out` has no room for what no reply may lack.
pub(super) fn write(
    content: Content<'_>,
    request: &Request<'_>,
    answer: &Answer,
    out: &mut [u8],
) -> Result<Written, Full> {
    let limit = longest_payload(request).min(out.len());
    let out = out.get_mut(..limit).ok_or(Full)?;
    let (fixed, field) = out.split_at_mut_checked(FIXED).ok_or(Full)?;
    write_fixed(&content.boot, request, answer, fixed)?;

    let mut selection = Selection::of(content, request, answer.kind);
    let mut rooms = Rooms { options: field.len(), file: 0, sname: 0 };
    rooms.options = rooms.options.checked_sub(own_length(request, answer.kind)).ok_or(Full)?;
    let mut left_out = false;
    if let Some(rest) = rooms.options.checked_sub(selection.length()) {
        rooms.options = rest;
    } else {
        // One byte of either field is its End.
        rooms.options = rooms.options.checked_sub(OVERLOAD_LENGTH).ok_or(Full)?;
        rooms.file = if content.boot.file.is_empty() { FILE.saturating_sub(1) } else { 0 };
        rooms.sname = if content.boot.sname.is_empty() { SNAME.saturating_sub(1) } else { 0 };
        left_out = selection.place_by_priority(&mut rooms)?;
    }
    let mut name = own_name(content.options, request, answer.kind);
    // The guest can do without both: they take what room is left.
    if name.is_some_and(|name| name_length(name) > rooms.options) {
        name = None;
        left_out = true;
    }
    rooms.options = rooms.options.saturating_sub(name.map_or(0, name_length));
    let mut machine_id = content.boot.machine_id;
    if machine_id.is_some_and(|id| encoded_length(id.len()) > rooms.options) {
        machine_id = None;
        left_out = true;
    }

    let mut writer = Writer::new(field);
    put(&mut writer, code::MESSAGE_TYPE, &[message_type(answer.kind)])?;
    selection.write(Field::Options, &mut writer)?;
    match answer.kind {
        AnswerKind::Nak => put(&mut writer, code::MESSAGE, NAK_TEXT)?,
        AnswerKind::RapidAck => put(&mut writer, code::RAPID_COMMIT, &[])?,
        AnswerKind::Offer | AnswerKind::Ack | AnswerKind::InformAck => {}
    }
    let in_file = selection.overload(Field::File, fixed.get_mut(FILE_OFFSET..).ok_or(Full)?)?;
    let sname = fixed.get_mut(SNAME_OFFSET..FILE_OFFSET).ok_or(Full)?;
    let in_sname = selection.overload(Field::Sname, sname)?;
    match (in_file, in_sname) {
        (false, false) => {}
        (true, false) => put(&mut writer, code::OVERLOAD, &[1])?,
        (false, true) => put(&mut writer, code::OVERLOAD, &[2])?,
        (true, true) => put(&mut writer, code::OVERLOAD, &[3])?,
    }
    if let Some(id) = machine_id {
        put(&mut writer, code::MACHINE_ID, id)?;
    }
    if let Some(fqdn::Answer { head, name }) = name {
        let length = u8::try_from(head.len().saturating_add(name.len())).map_err(|_| Full)?;
        writer.bytes(&[code::CLIENT_FQDN, length])?;
        writer.bytes(&head)?;
        writer.bytes(name)?;
    }
    // RFC 6842, section 3: unchanged, in a DHCPNAK as well.
    if let Some(id) = request.client_id.bytes() {
        put(&mut writer, code::CLIENT_ID, id)?;
    }
    writer.u8(code::END)?;
    writer.zeros(SHORTEST.saturating_sub(FIXED).saturating_sub(writer.len()))?;
    Ok(Written {
        length: FIXED.saturating_add(writer.len()),
        note: if left_out {
            Some(Note::OptionsLeftOut)
        } else {
            request.relay_information.then_some(Note::RelayInformation)
        },
    })
}

impl<'a> Content<'a> {
    /// Returns all options, those of the NIC first; a code may be there twice.
    fn entries(self) -> impl Iterator<Item = &'a Entry> {
        self.options.entries().iter().chain(self.boot.options)
    }

    /// Returns where among [`Self::entries`] the option of each code stands that counts.
    fn places(self) -> [u8; 256] {
        let mut places = [NO_PLACE; 256];
        for (place, entry) in self.entries().enumerate() {
            if let Some(slot) = places.get_mut(usize::from(entry.code)) {
                *slot = u8::try_from(place).unwrap_or(NO_PLACE);
            }
        }
        places
    }

    /// Returns the option at `place`.
    fn at(self, place: u8) -> Option<&'a Entry> {
        let own = self.options.entries();
        match usize::from(place).checked_sub(own.len()) {
            Some(place) => self.boot.options.get(place),
            None => own.get(usize::from(place)),
        }
    }
}

/// Returns how long a BOOTP message this client takes: option 57 is the IP datagram's length, and
/// every client takes 576 bytes (RFC 2131, section 2; RFC 2132, section 9.10).
fn longest_payload(request: &Request<'_>) -> usize {
    let datagram = request.max_message_size.unwrap_or(SHORTEST_MAXIMUM).max(SHORTEST_MAXIMUM);
    usize::from(datagram.saturating_sub(IP_AND_UDP_HEADERS))
}

/// Returns the length of the options that belong to the exchange and not to the NIC, End included.
/// They are written whatever else fits.
fn own_length(request: &Request<'_>, kind: AnswerKind) -> usize {
    let by_kind = match kind {
        AnswerKind::Nak => encoded_length(NAK_TEXT.len()),
        AnswerKind::RapidAck => encoded_length(0),
        AnswerKind::Offer | AnswerKind::Ack | AnswerKind::InformAck => 0,
    };
    let client_id = request.client_id.bytes().map_or(0, |id| encoded_length(id.len()));
    encoded_length(1).saturating_add(by_kind).saturating_add(client_id).saturating_add(1)
}

/// Returns the answer to the client's option 81, if the reply gives a lease (RFC 4702, section 4).
fn own_name<'a>(
    options: &'a OptionSet,
    request: &Request<'_>,
    kind: AnswerKind,
) -> Option<fqdn::Answer<'a>> {
    match kind {
        AnswerKind::Offer | AnswerKind::Ack | AnswerKind::RapidAck => {
            Some(options.name()?.answer(request.fqdn_flags?))
        }
        AnswerKind::InformAck | AnswerKind::Nak => None,
    }
}

/// Returns the length of option 81, whole.
fn name_length(answer: fqdn::Answer<'_>) -> usize {
    encoded_length(fqdn::HEAD.saturating_add(answer.name.len()))
}

fn write_fixed(
    boot: &Given<'_>,
    request: &Request<'_>,
    answer: &Answer,
    fixed: &mut [u8],
) -> Result<(), Full> {
    let mut writer = Writer::new(fixed);
    let hops = 0;
    writer.bytes(&[BOOTREPLY, ETHERNET, 6, hops])?;
    writer.u32(request.transaction_id)?;
    let secs = 0;
    writer.u16(secs)?;
    writer.u16(request.flags)?;
    writer.bytes(&answer.ciaddr.octets())?;
    writer.bytes(&answer.yiaddr.octets())?;
    writer.bytes(&boot.next_server.octets())?;
    // No relay.
    writer.bytes(&Ipv4Addr::UNSPECIFIED.octets())?;
    writer.bytes(&request.client_mac.0)?;
    let chaddr_padding = 10;
    writer.zeros(chaddr_padding)?;
    for (text, length) in [(boot.sname, SNAME), (boot.file, FILE)] {
        writer.bytes(text)?;
        writer.zeros(length.checked_sub(text.len()).ok_or(Full)?)?;
    }
    writer.bytes(&COOKIE)
}

/// Returns the value of option 53 (RFC 2132, section 9.6).
const fn message_type(kind: AnswerKind) -> u8 {
    match kind {
        AnswerKind::Offer => 2,
        AnswerKind::Ack | AnswerKind::RapidAck | AnswerKind::InformAck => 5,
        AnswerKind::Nak => 6,
    }
}

/// The options of one reply, in their order.
struct Selection<'a> {
    content: Content<'a>,
    places: [u8; 256],
    kind: AnswerKind,
    /// Whether the client sent option 116.
    auto_configure: bool,
    chosen: [Chosen; MAX_CHOSEN],
    count: usize,
    /// Whether the entry at this place was chosen.
    seen: [bool; MAX_CHOSEN],
}

/// One option of a reply.
#[derive(Clone, Copy)]
struct Chosen {
    /// Its place in the [`Content`].
    entry: u8,
    /// How long it is kept.
    priority: Priority,
    /// Where it is written.
    home: Home,
}

/// Where an option of a reply is written.
#[derive(Clone, Copy)]
enum Home {
    /// Nowhere.
    LeftOut,
    /// Whole in one field.
    In(Field),
    /// Split: so many bytes in the options field, so many in `file`, the rest in `sname`.
    Spread { options: u16, file: u16 },
}

/// The fields that hold options.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Options,
    File,
    Sname,
}

/// How many bytes are free in each field.
#[derive(Clone, Copy)]
struct Rooms {
    options: usize,
    file: usize,
    sname: usize,
}

impl<'a> Selection<'a> {
    /// Chooses what `request` gets in a reply of this kind, and in which order.
    fn of(content: Content<'a>, request: &Request<'_>, kind: AnswerKind) -> Self {
        let home = Home::In(Field::Options);
        let chosen = Chosen { entry: 0, priority: Priority::Extra, home };
        let mut selection = Self {
            content,
            places: content.places(),
            kind,
            auto_configure: request.auto_configure,
            chosen: [chosen; MAX_CHOSEN],
            count: 0,
            seen: [false; MAX_CHOSEN],
        };
        selection.choose(code::SERVER_ID);
        selection.choose(code::LEASE_TIME);
        let list = request.parameter_list.bytes();
        // Looked for once, not at every 3 that a hostile list repeats.
        let routes = [code::CLASSLESS_ROUTES, code::CLASSLESS_ROUTES_MICROSOFT]
            .map(|routes| (routes, list.is_some_and(|list| list.contains(&routes))));
        for listed in list.unwrap_or_default() {
            if *listed == code::ROUTER {
                // RFC 2132, section 3.3: the mask stands before the router, whatever the list says.
                selection.choose(code::SUBNET_MASK);
                for (routes, _) in routes.iter().filter(|(_, is_listed)| *is_listed) {
                    selection.choose(*routes);
                }
            }
            selection.choose(*listed);
        }
        for entry in content.entries() {
            let wanted = match entry.demand {
                Demand::Always => true,
                Demand::ListedOrNoList => list.is_none(),
                Demand::Listed => false,
                Demand::SentByClient => request.auto_configure,
            };
            if wanted {
                selection.choose(entry.code);
            }
        }
        selection
    }

    /// Chooses an option, unless it was chosen, has no value or is not for this kind of reply.
    fn choose(&mut self, code: u8) {
        let place = self.places.get(usize::from(code)).copied().unwrap_or(NO_PLACE);
        let Some(entry) = self.content.at(place) else { return };
        let Some(seen) = self.seen.get_mut(usize::from(place)) else { return };
        let Some(slot) = self.chosen.get_mut(self.count) else { return };
        let may_be_sent = match entry.demand {
            Demand::Always | Demand::ListedOrNoList | Demand::Listed => true,
            Demand::SentByClient => self.auto_configure,
        };
        if !*seen && may_be_sent && belongs(entry, self.kind) {
            *seen = true;
            (slot.entry, slot.priority) = (place, entry.priority);
            self.count = self.count.saturating_add(1);
        }
    }

    /// Returns the room that all of them take in one field.
    fn length(&self) -> usize {
        let entries = self.chosen().iter().filter_map(|chosen| self.content.at(chosen.entry));
        entries.map(|entry| encoded_length(entry.body.len())).sum()
    }

    fn chosen(&self) -> &[Chosen] {
        self.chosen.get(..self.count).unwrap_or_default()
    }

    /// Finds a home for every option, those first that are missed most. Tells whether one has none.
    fn place_by_priority(&mut self, rooms: &mut Rooms) -> Result<bool, Full> {
        let mut left_out = false;
        let chosen = self.chosen.get_mut(..self.count).unwrap_or_default();
        for priority in Priority::ALL {
            for chosen in chosen.iter_mut() {
                if chosen.priority != priority {
                    continue;
                }
                let Some(entry) = self.content.at(chosen.entry) else { continue };
                chosen.home = rooms.take(entry.body.len());
                match (chosen.home, priority) {
                    (Home::In(Field::Options), _) => {}
                    (_, Priority::Mandatory) => return Err(Full),
                    (Home::LeftOut, _) => left_out = true,
                    (Home::In(Field::File | Field::Sname) | Home::Spread { .. }, _) => {}
                }
            }
        }
        Ok(left_out)
    }

    /// Writes what has its home in `field`.
    fn write(&self, field: Field, writer: &mut Writer<'_>) -> Result<(), Full> {
        for Chosen { entry, home, .. } in self.chosen() {
            if !home.may_use(field) {
                continue;
            }
            let Some(entry) = self.content.at(*entry) else { continue };
            if let Some(part) = home.part(field, &entry.body) {
                put(writer, entry.code, part)?;
            }
        }
        Ok(())
    }

    /// Writes what has its home in `file` or `sname`, with an End; tells whether there is any.
    fn overload(&self, field: Field, bytes: &mut [u8]) -> Result<bool, Full> {
        let length = match field {
            Field::Options | Field::File => FILE,
            Field::Sname => SNAME,
        };
        let mut writer = Writer::new(bytes.get_mut(..length).ok_or(Full)?);
        self.write(field, &mut writer)?;
        if writer.is_empty() {
            return Ok(false);
        }
        writer.u8(code::END)?;
        Ok(true)
    }
}

impl Rooms {
    /// Takes room for an option with `length` bytes of data: in one field if it fits there, since
    /// not every client joins options over fields, else in several.
    fn take(&mut self, length: usize) -> Home {
        let whole = encoded_length(length);
        for (field, room) in [
            (Field::Options, &mut self.options),
            (Field::File, &mut self.file),
            (Field::Sname, &mut self.sname),
        ] {
            if let Some(rest) = room.checked_sub(whole) {
                *room = rest;
                return Home::In(field);
            }
        }
        // An option without data has nothing to split.
        if length == 0 {
            return Home::LeftOut;
        }
        let mut rest = length;
        let [options, file, sname] = [self.options, self.file, self.sname].map(|room| {
            let part = rest.min(longest_data(room));
            rest = rest.saturating_sub(part);
            part
        });
        let (Ok(in_options), Ok(in_file), 0) = (u16::try_from(options), u16::try_from(file), rest)
        else {
            return Home::LeftOut;
        };
        for (room, part) in
            [(&mut self.options, options), (&mut self.file, file), (&mut self.sname, sname)]
        {
            if part > 0 {
                *room = room.saturating_sub(encoded_length(part));
            }
        }
        Home::Spread { options: in_options, file: in_file }
    }
}

impl Home {
    /// Tells whether anything may stand in `field`.
    fn may_use(self, field: Field) -> bool {
        match self {
            Self::LeftOut => false,
            Self::In(home) => home == field,
            Self::Spread { .. } => true,
        }
    }

    /// Returns the part of an option's data that stands in `field`.
    fn part(self, field: Field, body: &[u8]) -> Option<&[u8]> {
        match self {
            Self::LeftOut => None,
            Self::In(home) => (home == field).then_some(body),
            Self::Spread { options, file } => {
                let (in_options, rest) = body.split_at_checked(usize::from(options))?;
                let (in_file, in_sname) = rest.split_at_checked(usize::from(file))?;
                let part = match field {
                    Field::Options => in_options,
                    Field::File => in_file,
                    Field::Sname => in_sname,
                };
                Some(part).filter(|part| !part.is_empty())
            }
        }
    }
}

/// Tells whether a reply of this kind may hold an option (RFC 2131, section 4.3.1, table 3).
const fn belongs(entry: &Entry, kind: AnswerKind) -> bool {
    match (entry.when, kind) {
        (When::EveryReply, _)
        | (
            When::Configuration,
            AnswerKind::Offer | AnswerKind::Ack | AnswerKind::RapidAck | AnswerKind::InformAck,
        )
        | (When::Lease, AnswerKind::Offer | AnswerKind::Ack | AnswerKind::RapidAck) => true,
        (When::Configuration, AnswerKind::Nak)
        | (When::Lease, AnswerKind::InformAck | AnswerKind::Nak) => false,
    }
}

/// Writes one option, in several parts if its data is longer than 255 bytes (RFC 3396).
fn put(writer: &mut Writer<'_>, code: u8, body: &[u8]) -> Result<(), Full> {
    if let Ok(length) = u8::try_from(body.len()) {
        writer.bytes(&[code, length])?;
        return writer.bytes(body);
    }
    for part in body.chunks(MAX_PART) {
        writer.bytes(&[code, u8::try_from(part.len()).map_err(|_| Full)?])?;
        writer.bytes(part)?;
    }
    Ok(())
}

/// Returns how many bytes an option with so much data takes: two for each part's code and length.
const fn encoded_length(data: usize) -> usize {
    // Nearly always one part: no division for it.
    let parts = if data <= MAX_PART { 1 } else { data.div_ceil(MAX_PART) };
    data.saturating_add(parts.saturating_mul(2))
}

/// Returns how much data of one option fits into `room` bytes.
const fn longest_data(room: usize) -> usize {
    let parts = room.div_ceil(MAX_PART + 2);
    room.saturating_sub(parts.saturating_mul(2))
}

const BOOTREPLY: u8 = 2;
const SNAME_OFFSET: usize = 44;
const FILE_OFFSET: usize = 108;
/// RFC 951: a BOOTP message has 300 bytes, and some clients and switches insist on it.
const SHORTEST: usize = 300;
/// The least that option 57 may say.
const SHORTEST_MAXIMUM: u16 = 576;
/// An IPv4 header without options, and a UDP header.
const IP_AND_UDP_HEADERS: u16 = 28;
/// Option 52, whole.
const OVERLOAD_LENGTH: usize = 3;
/// The longest part of an option.
const MAX_PART: usize = 255;
/// As many options as there are codes but Pad and End. Nine of those are never a NIC's option
/// ([`super::may_be_set`]), which leaves places for the five of a boot rule.
const MAX_CHOSEN: usize = 254;
/// Option 56 of a DHCPNAK; short enough to stand beside the longest client identifier.
const NAK_TEXT: &[u8] = b"address is not leased to this port";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_whole_first_and_never_beyond_what_there_is() {
        for length in 0..700 {
            for options in 0..600 {
                let mut rooms = Rooms { options, file: 127, sname: 63 };
                let before = options + 127 + 63;
                let taken = match rooms.take(length) {
                    Home::LeftOut => 0,
                    Home::In(_) => encoded_length(length),
                    Home::Spread { options: in_options, file } => {
                        assert!(encoded_length(length) > options, "{length} in {options}");
                        let (in_options, file) = (usize::from(in_options), usize::from(file));
                        let parts = [in_options, file, length - in_options - file];
                        parts
                            .iter()
                            .filter(|part| **part > 0)
                            .map(|part| encoded_length(*part))
                            .sum()
                    }
                };
                assert_eq!(rooms.options + rooms.file + rooms.sname + taken, before);
            }
        }
    }

    #[test]
    fn an_option_without_data_needs_two_bytes_in_one_field() {
        let mut rooms = Rooms { options: 1, file: 1, sname: 1 };
        assert!(matches!(rooms.take(0), Home::LeftOut));
        rooms.sname = 2;
        assert!(matches!(rooms.take(0), Home::In(Field::Sname)));
    }
}
