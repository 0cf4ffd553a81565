//! SQLite's file format, as far as it takes to read a table's rows out of a damaged file.
//!
//! SQLite ends a search at the first page that makes no sense; the rows behind it are still there.
//! Whether a row is whole is not known here: its checksum says so. Whether it is current is: a page
//! in use that accounts for all of its bytes holds no row that was deleted. Any byte may be wrong,
//! so all access is checked. Names as in <https://www.sqlite.org/fileformat2.html>.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use rusqlite::types::ValueRef;

/// A database file and its write-ahead log, page by page.
#[derive(Debug)]
pub(super) struct Pages {
    file: Vec<u8>,
    log: Vec<u8>,
    /// Where in the log a page stands that is newer than the file's.
    newer: HashMap<u32, usize>,
    size: usize,
    usable: usize,
}

/// Whether a page accounts for all of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    Whole,
    /// Rows that were deleted may look like rows.
    Damaged,
}

/// A page of a table without row numbers.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) sense: Sense,
    /// The pages below, in order; one more than rows, or none at all.
    pub(super) children: Vec<u32>,
    /// What is stored for each row; none where it cannot be read.
    pub(super) rows: Vec<Option<Vec<u8>>>,
}

impl Pages {
    /// Takes a file's bytes and those of its log, of which only whole transactions count.
    pub(super) fn new(file: Vec<u8>, log: Vec<u8>) -> Self {
        let mut pages = Self { file, log, newer: HashMap::new(), size: PAGE, usable: PAGE };
        if let Some(size) = pages.file.get(16..18).and_then(be16)
            && pages.file.starts_with(MAGIC)
            && let Some(size) = page_size(size.into())
        {
            pages.size = size;
        }
        pages.newer = pages.read_log().unwrap_or_default();
        let reserved = pages.header().and_then(|page| page.get(20)).map_or(0, |byte| *byte);
        pages.usable = pages.size.saturating_sub(reserved.into());
        pages
    }

    /// Returns the number of the last page.
    pub(super) fn last(&self) -> u32 {
        let in_file = u32::try_from(self.file.len() / self.size).unwrap_or(u32::MAX);
        self.newer.keys().copied().max().unwrap_or(0).max(in_file)
    }

    /// Returns the pages that are not in use; `None`: the list of them is damaged.
    pub(super) fn free(&self) -> Option<HashSet<u32>> {
        let header = self.header()?;
        let count = usize::try_from(header.get(36..40).and_then(be32)?).ok()?;
        let mut trunk = header.get(32..36).and_then(be32)?;
        let mut free = HashSet::new();
        while trunk != 0 {
            let page = self.page(trunk)?;
            let leaves = usize::try_from(page.get(4..8).and_then(be32)?).ok()?;
            let end = leaves.checked_mul(4)?.checked_add(8)?;
            let numbers = page.get(8..end)?.chunks_exact(4).filter_map(be32);
            for number in numbers.chain([trunk]) {
                if !free.insert(number) {
                    return None;
                }
            }
            trunk = page.get(..4).and_then(be32)?;
        }
        (free.len() == count).then_some(free)
    }

    /// Reads a page of a table without row numbers; `None`: it is something else.
    pub(super) fn node(&self, number: u32) -> Option<Node> {
        let page = self.page(number)?.get(..self.usable)?;
        // Page 1 begins with the file's header and is never one of these.
        let (kind, header) = match page.first()? {
            0x02 => (Kind::Interior, 12),
            0x0a => (Kind::Leaf, 8),
            _ => return None,
        };
        let count = usize::from(be16(page.get(3..5)?)?);
        let pointers = header..count.checked_mul(2)?.checked_add(header)?;
        let mut used: Vec<_> = std::iter::once(0..pointers.end).collect();
        let mut node = Node { sense: Sense::Whole, children: Vec::new(), rows: Vec::new() };
        // What does not fit into the page is not read at all.
        for pointer in page.get(pointers)?.chunks_exact(2) {
            let start = usize::from(be16(pointer)?);
            match self.cell(page, start, kind) {
                Some(cell) => {
                    used.push(start..cell.end);
                    node.children.extend(cell.child);
                    node.rows.push(cell.row);
                }
                None => {
                    node.sense = Sense::Damaged;
                    node.rows.push(None);
                }
            }
        }
        if kind == Kind::Interior {
            node.children.push(page.get(8..12).and_then(be32)?);
        }
        if accounts_for_all(page, used).is_none() {
            node.sense = Sense::Damaged;
        }
        Some(node)
    }

    fn cell(&self, page: &[u8], start: usize, kind: Kind) -> Option<Cell> {
        let mut at = start;
        let mut child = None;
        if kind == Kind::Interior {
            child = Some(be32(page.get(at..at.checked_add(4)?)?)?);
            at = at.checked_add(4)?;
        }
        let (length, payload) = varint(page, at)?;
        let length = usize::try_from(length).ok()?;
        let local = self.local(length)?;
        let mut end = payload.checked_add(local)?;
        let here = page.get(payload..end)?;
        let mut row = Some(here.to_vec());
        if local < length {
            let first = be32(page.get(end..end.checked_add(4)?)?)?;
            end = end.checked_add(4)?;
            row = self.overflow(here, first, length);
        }
        // A cell takes four bytes at least.
        Some(Cell { child, row, end: end.max(start.checked_add(4)?) })
    }

    /// Returns how much of a row stands in its page.
    fn local(&self, length: usize) -> Option<usize> {
        let room = self.usable.checked_sub(12)?;
        let most = (room.checked_mul(64)? / 255).checked_sub(23)?;
        if length <= most {
            return Some(length);
        }
        let least = (room.checked_mul(32)? / 255).checked_sub(23)?;
        let rest = length.checked_sub(least)?.checked_rem(self.usable.checked_sub(4)?)?;
        let local = least.checked_add(rest)?;
        Some(if local <= most { local } else { least })
    }

    /// Reads the rest of a row from the pages that it runs over to.
    fn overflow(&self, here: &[u8], first: u32, length: usize) -> Option<Vec<u8>> {
        // No row is longer; a length that is damaged must not cost more.
        if length > MAX_ROW {
            return None;
        }
        let mut row = here.to_vec();
        let mut next = first;
        while row.len() < length {
            let page = self.page(next)?.get(..self.usable)?;
            next = be32(page.get(..4)?)?;
            let rest = page.get(4..)?;
            let wanted = length.checked_sub(row.len())?.min(rest.len());
            row.extend_from_slice(rest.get(..wanted)?);
        }
        Some(row)
    }

    fn header(&self) -> Option<&[u8]> {
        self.page(1).filter(|page| page.starts_with(MAGIC))
    }

    fn page(&self, number: u32) -> Option<&[u8]> {
        let (bytes, start) = match self.newer.get(&number) {
            Some(start) => (&self.log, *start),
            None => {
                let before = usize::try_from(number.checked_sub(1)?).ok()?;
                (&self.file, before.checked_mul(self.size)?)
            }
        };
        bytes.get(start..start.checked_add(self.size)?)
    }

    /// Finds the newest state of each page in the log, up to the last whole transaction.
    fn read_log(&mut self) -> Option<HashMap<u32, usize>> {
        let header = self.log.get(..32)?;
        let little = match be32(header.get(..4)?)? {
            0x377f_0682 => true,
            0x377f_0683 => false,
            _ => return None,
        };
        let size = page_size(be32(header.get(8..12)?)?)?;
        let salts = header.get(16..24)?;
        let mut sum = sum(header.get(..24)?, (0, 0), little);
        if (be32(header.get(24..28)?)?, be32(header.get(28..32)?)?) != sum {
            return None;
        }
        let mut newer = HashMap::new();
        let mut uncommitted = HashMap::new();
        for (place, frame) in (0_usize..).zip(self.log.get(32..)?.chunks_exact(size + 24)) {
            let (head, page) = frame.split_at_checked(24)?;
            sum = self::sum(page, self::sum(head.get(..8)?, sum, little), little);
            if head.get(8..16)? != salts
                || (be32(head.get(16..20)?)?, be32(head.get(20..24)?)?) != sum
            {
                break;
            }
            let start = place.checked_mul(size.checked_add(24)?)?.checked_add(56)?;
            uncommitted.insert(be32(head.get(..4)?)?, start);
            if be32(head.get(4..8)?)? != 0 {
                newer.extend(uncommitted.drain());
            }
        }
        self.size = size;
        Some(newer)
    }
}

/// Splits a stored row into its columns; `None`: it has another number of them, or makes no sense.
pub(super) fn columns<const COLUMNS: usize>(row: &[u8]) -> Option<[ValueRef<'_>; COLUMNS]> {
    let (length, mut kind_at) = varint(row, 0)?;
    let header = usize::try_from(length).ok()?;
    let mut at = header;
    let mut columns = [ValueRef::Null; COLUMNS];
    for column in &mut columns {
        let (kind, after) = varint(row.get(..header)?, kind_at)?;
        kind_at = after;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => usize::try_from((kind - 12) / 2).ok()?,
        };
        let end = at.checked_add(length)?;
        let bytes = row.get(at..end)?;
        at = end;
        *column = match kind {
            0 => ValueRef::Null,
            8 => ValueRef::Integer(0),
            9 => ValueRef::Integer(1),
            7 => ValueRef::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            1..=6 => ValueRef::Integer(signed(bytes)),
            _ if kind % 2 == 0 => ValueRef::Blob(bytes),
            _ => ValueRef::Text(bytes),
        };
    }
    (kind_at == header && at == row.len()).then_some(columns)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Leaf,
    Interior,
}

struct Cell {
    child: Option<u32>,
    row: Option<Vec<u8>>,
    /// Where in the page it ends.
    end: usize,
}

/// Checks that cells, free blocks and fragments fill a page, and that none lies upon another.
fn accounts_for_all(page: &[u8], mut used: Vec<Range<usize>>) -> Option<()> {
    let mut block = usize::from(be16(page.get(1..3)?)?);
    let mut before = 0;
    while block != 0 {
        // They stand in order, so this comes to an end.
        if block <= before {
            return None;
        }
        let head = page.get(block..block.checked_add(4)?)?;
        let (next, length) = (be16(head.get(..2)?)?, be16(head.get(2..)?)?);
        used.push(block..block.checked_add(length.into())?);
        before = block;
        block = next.into();
    }
    // Between the pointers and the first cell nothing is said to be free; it is.
    let content = match usize::from(be16(page.get(5..7)?)?) {
        0 => 65_536,
        content => content,
    };
    let pointers = used.first()?.end;
    used.push(pointers..content);
    used.sort_by_key(|range| range.start);
    let mut fragments = usize::from(*page.get(7)?);
    let mut at: usize = 0;
    for Range { start, end } in used {
        fragments = fragments.checked_sub(start.checked_sub(at)?)?;
        at = end;
        if end < start {
            return None;
        }
    }
    (page.len().checked_sub(at)? == fragments).then_some(())
}

/// Adds words to the checksum of a log, each one seen in the order that the log's magic names.
fn sum(bytes: &[u8], (mut first, mut second): (u32, u32), little: bool) -> (u32, u32) {
    let word = |bytes: &[u8]| {
        let bytes: [u8; 4] = bytes.try_into().unwrap_or_default();
        if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    };
    for pair in bytes.chunks_exact(8) {
        let (left, right) = pair.split_at(4);
        first = first.wrapping_add(word(left)).wrapping_add(second);
        second = second.wrapping_add(word(right)).wrapping_add(first);
    }
    (first, second)
}

/// Reads a number of one to nine bytes; returns where it ends as well.
fn varint(bytes: &[u8], start: usize) -> Option<(u64, usize)> {
    let mut value: u64 = 0;
    let mut at = start;
    for place in 0..9 {
        let byte = *bytes.get(at)?;
        at = at.checked_add(1)?;
        if place == 8 {
            return Some((value << 8 | u64::from(byte), at));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some((value, at))
}

fn signed(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| value << 8 | i64::from(*byte))
}

fn be16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Reads a page size; in two bytes, 1 stands for 65,536.
fn page_size(size: u32) -> Option<usize> {
    let size = if size == 1 { 65_536 } else { usize::try_from(size).ok()? };
    (size.is_power_of_two() && (512..=65_536).contains(&size)).then_some(size)
}

const MAGIC: &[u8] = b"SQLite format 3\0";

/// The page size of every file that leasehold makes.
const PAGE: usize = 4_096;

/// Far more than a lease with the longest names takes.
const MAX_ROW: usize = 1 << 20;
