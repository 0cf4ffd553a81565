//! Checked reading and writing of byte strings: the only two ways the core touches packet bytes.
//!
//! Rules R1 and R8: a reply's bytes come from checked slices, and a writer that is full says so.

/// The buffer has no room left for what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Writes into a fixed buffer, front to back; every write says whether it fitted.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl<'a> Writer<'a> {
    /// Starts at the front of `buffer`.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    /// Returns how many bytes were written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Tells whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns how many bytes still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.length)
    }

    /// Appends `bytes` whole, or writes nothing.
    ///
    /// # Errors
    /// [`Full`] if they do not fit.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.length.checked_add(bytes.len()).ok_or(Full)?;
        self.buffer.get_mut(self.length..end).ok_or(Full)?.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }

    /// Appends one byte.
    ///
    /// # Errors
    /// [`Full`] if it does not fit.
    pub fn u8(&mut self, value: u8) -> Result<(), Full> {
        self.bytes(&[value])
    }

    /// Appends a 16-bit number in network order.
    ///
    /// # Errors
    /// [`Full`] if it does not fit.
    pub fn u16(&mut self, value: u16) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a 32-bit number in network order.
    ///
    /// # Errors
    /// [`Full`] if it does not fit.
    pub fn u32(&mut self, value: u32) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends `count` zero bytes.
    ///
    /// # Errors
    /// [`Full`] if they do not fit.
    pub fn zeros(&mut self, count: usize) -> Result<(), Full> {
        let end = self.length.checked_add(count).ok_or(Full)?;
        self.buffer.get_mut(self.length..end).ok_or(Full)?.fill(0);
        self.length = end;
        Ok(())
    }

    /// Overwrites the 16-bit number at `offset`, which was written before.
    ///
    /// # Errors
    /// [`Full`] if `offset` lies outside what was written.
    pub fn patch_u16(&mut self, offset: usize, value: u16) -> Result<(), Full> {
        let end = offset.checked_add(2).ok_or(Full)?;
        let written = self.buffer.get_mut(..self.length).ok_or(Full)?;
        written.get_mut(offset..end).ok_or(Full)?.copy_from_slice(&value.to_be_bytes());
        Ok(())
    }
}

/// Reads a byte string front to back; a read past the end gives `None` and moves nothing.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns what was not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Tells whether everything was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// Takes the next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    /// Takes one byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes a 16-bit number in network order.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes a 32-bit number in network order.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_does_not_fit_writes_nothing() {
        let mut buffer = [0xaa; 4];
        let mut writer = Writer::new(&mut buffer);
        assert_eq!(writer.u16(0x0102), Ok(()));
        assert_eq!(writer.bytes(&[1, 2, 3]), Err(Full));
        assert_eq!(writer.len(), 2);
        assert_eq!(writer.patch_u16(1, 7), Err(Full));
        assert_eq!(writer.patch_u16(0, 0x0304), Ok(()));
        assert_eq!(buffer, [3, 4, 0xaa, 0xaa]);
    }

    #[test]
    fn a_read_past_the_end_moves_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u32(), None);
        assert_eq!(reader.u16(), Some(0x0102));
        assert_eq!(reader.take(2), None);
        assert_eq!(reader.rest(), &[3]);
    }
}
