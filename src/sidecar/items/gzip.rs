//! Gzip, pushed: chunks in, chunks out, each step bounded.

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};

use super::ObjectFault;

/// The first bytes of every member.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Unpacks one member after the other, as `gzip` does. Zeros behind the last one are padding.
pub(super) struct Gunzip {
    member: Decompress,
    state: State,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    /// Within a member.
    Inside,
    /// Behind one: another may follow.
    Between,
    /// Behind the last one.
    Padding,
}

impl Gunzip {
    pub(super) fn new() -> Self {
        Self { member: member(), state: State::Inside }
    }

    /// Takes bytes off `input` and gives what they hold, at most [`STEP`] bytes at once; `None` once the input is used
    /// up.
    pub(super) fn step(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ObjectFault> {
        loop {
            let Some(first) = input.first() else { return Ok(None) };
            match self.state {
                State::Padding if *first == 0 => drop(input.split_to(1)),
                State::Between if *first == 0 => self.state = State::Padding,
                State::Between if *first == MAGIC[0] => {
                    self.member = member();
                    self.state = State::Inside;
                }
                State::Between | State::Padding => {
                    return Err(ObjectFault::Gzip("bytes behind its end".to_owned()));
                }
                State::Inside => {
                    if let Some(output) = self.unpack(input)? {
                        return Ok(Some(output));
                    }
                }
            }
        }
    }

    /// Whether the input may end here.
    pub(super) fn is_complete(&self) -> bool {
        self.state != State::Inside
    }

    /// `None` where nothing came out, which is so for headers and trailers.
    fn unpack(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ObjectFault> {
        let before = self.member.total_in();
        let mut output = Vec::with_capacity(STEP);
        let status = self
            .member
            .decompress_vec(input, &mut output, FlushDecompress::None)
            .map_err(|error| ObjectFault::Gzip(error.to_string()))?;
        let taken = usize::try_from(self.member.total_in() - before).unwrap_or(usize::MAX);
        drop(input.split_to(taken.min(input.len())));
        match status {
            Status::StreamEnd => self.state = State::Between,
            // Never seen; without it a fault in the library would be an endless loop.
            _ if taken == 0 && output.is_empty() => {
                return Err(ObjectFault::Gzip("it does not go on".to_owned()));
            }
            _ => {}
        }
        Ok((!output.is_empty()).then(|| output.into()))
    }
}

/// The most that one step gives.
const STEP: usize = 64 * 1024;

/// The largest window; with it, header and checksum are read by zlib.
fn member() -> Decompress {
    Decompress::new_gzip(15)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn pack(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// What comes out, and whether it was whole.
    fn unpack(packed: &[u8], chunk: usize) -> Result<(Vec<u8>, bool), ObjectFault> {
        let (mut gunzip, mut output) = (Gunzip::new(), Vec::new());
        for chunk in packed.chunks(chunk) {
            let mut input = Bytes::copy_from_slice(chunk);
            while let Some(bytes) = gunzip.step(&mut input)? {
                assert!(bytes.len() <= STEP);
                output.extend_from_slice(&bytes);
            }
        }
        Ok((output, gunzip.is_complete()))
    }

    #[test]
    fn members_follow_each_other_however_they_are_cut() {
        let zeros = vec![0; 1_000_000];
        let whole = [pack(b"one "), pack(b""), pack(&zeros), pack(b"two")].concat();
        let text = [b"one ".as_slice(), &zeros, b"two"].concat();
        for chunk in [1, 2, 3, 7, 64, 4096, whole.len()] {
            assert_eq!(unpack(&whole, chunk).unwrap(), (text.clone(), true), "{chunk}");
            let padded = [whole.as_slice(), &[0; 100]].concat();
            assert_eq!(unpack(&padded, chunk).unwrap(), (text.clone(), true), "{chunk}");
        }
    }

    #[test]
    fn what_is_damaged_or_cut_is_seen() {
        let whole = pack(b"{\"a\": \"some text that is packed\"}");
        for cut in 2..whole.len() {
            assert!(!unpack(&whole[..cut], 5).unwrap().1, "{cut}");
        }
        let mut wrong_sum = whole.clone();
        let at = wrong_sum.len() - 8;
        wrong_sum[at] ^= 1;
        for damaged in [wrong_sum, [whole.as_slice(), b"x"].concat(), [whole.as_slice(), &[0, 1]].concat()] {
            assert!(matches!(unpack(&damaged, 9), Err(ObjectFault::Gzip(_))), "{damaged:?}");
        }
    }
}
