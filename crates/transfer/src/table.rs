//! What has been seen: a hash table that leaves memory when it grows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::Key;

/// Bytes of a slot: a key and a value.
const SLOT: usize = 24;
/// Slots that are kept in memory: up to here it costs no more than 1.5 MiB, and
/// no file. A list of a million would cost 100.
const IN_MEMORY: usize = 64 * 1024;
/// Slots that are read at once to find one: mostly, it is among them.
const PROBE: usize = 24;
/// Slots after the last at which a key can belong, for what finds that taken.
const TAIL: usize = 512;

/// From keys to numbers, by open addressing: first in memory, then in a file
/// that is read and written in place. What the kernel keeps of that file is
/// its own to drop.
///
/// Keys belong where their first bits say, so the slots are nearly in the order
/// of the keys, and a larger table is written from one end to the other.
pub(crate) struct Table {
    slots: Slots,
    /// Slots at which a key can belong: two to the power of `bits`.
    bits: u32,
    used: usize,
    /// Makes the file, which has no name.
    make: Arc<dyn Fn() -> io::Result<File> + Send + Sync>,
}

enum Slots {
    Memory(Vec<u8>),
    File(File),
}

impl Table {
    /// An empty table; `make` makes an empty file when it is needed.
    pub(crate) fn new(make: impl Fn() -> io::Result<File> + Send + Sync + 'static) -> Self {
        let bits = 10;
        Self {
            slots: Slots::Memory(vec![0; slots(bits) * SLOT]),
            bits,
            used: 0,
            make: Arc::new(make),
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: Key) -> io::Result<Option<u64>> {
        let (_, value) = self.find(key)?;
        Ok(value)
    }

    /// Sets the value of a key; returns the one before.
    pub(crate) fn set(&mut self, key: Key, value: u64) -> io::Result<Option<u64>> {
        self.update(key, |_| value)
    }

    /// Sets the value of a key by the one before, which it returns.
    pub(crate) fn update(
        &mut self,
        key: Key,
        value: impl FnOnce(Option<u64>) -> u64,
    ) -> io::Result<Option<u64>> {
        if (self.used + 1) * 4 > (1 << self.bits) * 3 {
            self.grow()?;
        }
        let (mut at, before) = self.find(key)?;
        while at == slots(self.bits) {
            // Digests do not crowd like that: these are made up.
            if self.used * 16 < at {
                return Err(io::Error::other("the keys are no digests"));
            }
            self.grow()?;
            (at, _) = self.find(key)?;
        }
        self.used += usize::from(before.is_none());
        let value = value(before);
        if before != Some(value) {
            let slot = slot(key, value);
            match &mut self.slots {
                Slots::Memory(slots) => slots[at * SLOT..][..SLOT].copy_from_slice(&slot),
                Slots::File(file) => file.write_all_at(&slot, (at * SLOT) as u64)?,
            }
        }
        Ok(before)
    }

    /// The slot where a key is, or would go; past the last if there is none.
    fn find(&self, key: Key) -> io::Result<(usize, Option<u64>)> {
        // All zeros mark a slot as free. That key, which no URL has, is lost.
        let mut at = home(key, self.bits);
        let mut buffer = [0; PROBE * SLOT];
        while at < slots(self.bits) {
            let some = PROBE.min(slots(self.bits) - at);
            for slot in self
                .read(at, &mut buffer[..some * SLOT])?
                .chunks_exact(SLOT)
            {
                match parse(slot) {
                    (Key(0), _) => return Ok((at, None)),
                    (found, value) if found == key => return Ok((at, Some(value))),
                    _ => at += 1,
                }
            }
        }
        Ok((at, None))
    }

    /// Slots from `at` on, in the buffer or where they are.
    fn read<'a>(&'a self, at: usize, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        match &self.slots {
            Slots::Memory(slots) => Ok(&slots[at * SLOT..][..buffer.len()]),
            Slots::File(file) => {
                file.read_exact_at(buffer, (at * SLOT) as u64)?;
                Ok(buffer)
            }
        }
    }

    fn grow(&mut self) -> io::Result<()> {
        let bits = self.bits + 1;
        let mut grown = if 1 << bits <= IN_MEMORY {
            Grown::new(Slots::Memory(Vec::with_capacity(slots(bits) * SLOT)), bits)
        } else {
            Grown::new(Slots::File((self.make)()?), bits)
        };
        let mut buffer = vec![0; 2048 * SLOT];
        // Those without a free slot between them: only these can be in another
        // order than their keys.
        let mut crowd = Vec::new();
        let mut at = 0;
        while at < slots(self.bits) {
            let some = (buffer.len() / SLOT).min(slots(self.bits) - at);
            for slot in self
                .read(at, &mut buffer[..some * SLOT])?
                .chunks_exact(SLOT)
            {
                match parse(slot) {
                    (Key(0), _) => grown.take(&mut crowd)?,
                    taken => crowd.push(taken),
                }
            }
            at += some;
        }
        grown.take(&mut crowd)?;
        self.slots = grown.end()?;
        self.bits = bits;
        Ok(())
    }
}

/// A table that is being written from one end to the other.
struct Grown {
    slots: Slots,
    bits: u32,
    /// Bytes that go to the file next.
    piece: Vec<u8>,
    written: u64,
    /// The first slot that is not written yet.
    at: usize,
}

impl Grown {
    fn new(slots: Slots, bits: u32) -> Self {
        Self {
            slots,
            bits,
            piece: Vec::new(),
            written: 0,
            at: 0,
        }
    }

    fn take(&mut self, crowd: &mut Vec<(Key, u64)>) -> io::Result<()> {
        crowd.sort_unstable_by_key(|(key, _)| key.0);
        for (key, value) in crowd.drain(..) {
            self.free(home(key, self.bits))?;
            if self.at == slots(self.bits) {
                return Err(io::Error::other("the keys are no digests"));
            }
            self.push(&slot(key, value))?;
        }
        Ok(())
    }

    /// Leaves what comes before a slot free.
    fn free(&mut self, until: usize) -> io::Result<()> {
        while self.at < until {
            self.push(&[0; SLOT])?;
        }
        Ok(())
    }

    fn push(&mut self, slot: &[u8; SLOT]) -> io::Result<()> {
        self.at += 1;
        match &mut self.slots {
            Slots::Memory(slots) => slots.extend_from_slice(slot),
            Slots::File(_) => self.piece.extend_from_slice(slot),
        }
        if self.piece.len() >= 64 * 1024 {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Slots::File(file) = &self.slots {
            file.write_all_at(&self.piece, self.written)?;
            self.written += self.piece.len() as u64;
            self.piece.clear();
        }
        Ok(())
    }

    fn end(mut self) -> io::Result<Slots> {
        self.free(slots(self.bits))?;
        self.flush()?;
        Ok(self.slots)
    }
}

fn slots(bits: u32) -> usize {
    (1 << bits) + TAIL
}

/// The slot that a key belongs at.
fn home(key: Key, bits: u32) -> usize {
    (key.0 >> (128 - bits)) as usize
}

fn slot(key: Key, value: u64) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..16].copy_from_slice(&key.0.to_le_bytes());
    slot[16..].copy_from_slice(&value.to_le_bytes());
    slot
}

fn parse(slot: &[u8]) -> (Key, u64) {
    let (key, value) = slot.split_at(16);
    (
        Key(u128::from_le_bytes(key.try_into().expect("16 bytes"))),
        u64::from_le_bytes(value.try_into().expect("8 bytes")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_it_was_told_in_memory_and_beyond() {
        let mut table = Table::new(tempfile::tempfile);
        let key = |n: u64| Key::from_url(&n.to_string());
        for n in 0..60_000 {
            assert_eq!(table.set(key(n), n).unwrap(), None);
        }
        assert!(matches!(table.slots, Slots::File(_)));
        for n in (0..60_000).step_by(7) {
            assert_eq!(table.get(key(n)).unwrap(), Some(n));
            assert_eq!(table.set(key(n), n + 1).unwrap(), Some(n));
        }
        assert_eq!(table.get(key(7)).unwrap(), Some(8));
        assert_eq!(table.get(key(60_000)).unwrap(), None);
    }

    #[test]
    fn it_is_like_a_map_at_every_size() {
        let mut table = Table::new(tempfile::tempfile);
        let mut map = std::collections::HashMap::new();
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200_000 {
            let n = random.u64(..90_000);
            let key = Key::from_name(&n.to_string());
            let before = map.insert(n, map.get(&n).unwrap_or(&n) + 1);
            let now = table.update(key, |value| value.unwrap_or(n) + 1).unwrap();
            assert_eq!(now, before, "{n}");
        }
        assert_eq!(table.used, map.len());
        for (n, value) in map {
            assert_eq!(
                table.get(Key::from_name(&n.to_string())).unwrap(),
                Some(value)
            );
        }
    }

    #[test]
    fn keys_that_are_made_up_are_refused_before_they_fill_the_disk() {
        // All belong at the last slot; they fill what is after it.
        let mut table = Table::new(tempfile::tempfile);
        let key = |n: u64| Key(u128::MAX - u128::from(n));
        let refused = (0..10_000).find(|n| table.set(key(*n), *n).is_err());
        let refused = refused.expect("no room for so many");
        assert!(refused > 500, "{refused}");
        for n in 0..refused {
            assert_eq!(table.get(key(n)).unwrap(), Some(n));
        }
        // The first bits of the key of zeros are like those of many others.
        assert_eq!(table.get(Key(0)).unwrap(), None);
    }
}
