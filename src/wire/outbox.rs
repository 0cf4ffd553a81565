//! Frames on their way out: a fixed number of fixed buffers, owned by the worker thread.

/// Replies and advertisements of one wake, in the order in which they are to be sent.
///
/// It never grows: a port that has filled it sends what there is before it reads on.
#[derive(Debug)]
pub struct Outbox {
    slots: Box<[Slot]>,
    used: usize,
}

impl Outbox {
    /// Makes an empty outbox with room for `frames` frames.
    #[must_use]
    pub fn new(frames: usize) -> Self {
        let slot = Slot { bytes: [0; Self::FRAME_MAX], length: 0 };
        Self { slots: vec![slot; frames].into_boxed_slice(), used: 0 }
    }

    /// The longest frame that can be sent: an Ethernet header and 1,500 bytes.
    pub const FRAME_MAX: usize = 1_514;

    /// Returns the next free frame buffer, or `None` if the outbox is full. What it holds is
    /// unspecified; it is sent only if [`Self::commit`] follows.
    pub fn slot(&mut self) -> Option<&mut [u8; Self::FRAME_MAX]> {
        self.slots.get_mut(self.used).map(|slot| &mut slot.bytes)
    }

    /// Queues the first `length` bytes of the buffer that [`Self::slot`] gave.
    pub fn commit(&mut self, length: usize) {
        if let Some(slot) = self.slots.get_mut(self.used) {
            slot.length = length.min(Self::FRAME_MAX);
            self.used = self.used.saturating_add(1);
        }
    }

    /// Returns the queued frames, oldest first.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.slots.iter().take(self.used).map(Slot::frame)
    }

    /// Returns how many frames are queued.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Tells whether no frame is queued.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Forgets all queued frames.
    pub fn clear(&mut self) {
        self.used = 0;
    }
}

#[derive(Debug, Clone)]
struct Slot {
    bytes: [u8; Outbox::FRAME_MAX],
    length: usize,
}

impl Slot {
    fn frame(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_outbox_gives_no_slot_and_forgets_on_clear() {
        let mut outbox = Outbox::new(1);
        outbox.slot().unwrap()[0] = 7;
        outbox.commit(1);
        assert!(outbox.slot().is_none());
        assert_eq!(outbox.frames().collect::<Vec<_>>(), [&[7][..]]);
        outbox.clear();
        assert!(outbox.is_empty());
        assert!(outbox.slot().is_some());
    }
}
