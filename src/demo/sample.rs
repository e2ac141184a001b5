//! The sample media: made by `media/make.py`, compiled in, stored in both buckets under the same keys.
//!
//! Whatever the page shows belongs to task 7. The one object of task 8 is there to be refused.

use bytes::Bytes;

/// The task whose media the page shows.
pub(super) const TASK: u32 = 7;

/// The object of another task, which the page's token does not cover.
pub(super) const FOREIGN_KEY: &str = "tasks/8/secret.png";

/// One object of the buckets.
#[derive(Debug)]
pub(super) struct Sample {
    /// What the page calls it: the second half of its element's id.
    pub(super) name: &'static str,
    /// The key in both buckets.
    pub(super) key: &'static str,
    /// The `Content-Type` that S3 keeps.
    pub(super) media_type: &'static str,
    bytes: &'static [u8],
}

impl Sample {
    /// The object as S3 keeps it.
    pub(super) fn object(&self) -> Bytes {
        match self.media_type {
            "video/mp4" => spread(self.bytes).into(),
            _ => Bytes::from_static(self.bytes),
        }
    }
}

/// Every object of task 7, in the page's order.
pub(super) const SAMPLES: &[Sample] = &[
    Sample {
        name: "street",
        key: "tasks/7/street.jpg",
        media_type: "image/jpeg",
        bytes: include_bytes!("media/street.jpg"),
    },
    Sample {
        name: "cells",
        key: "tasks/7/cells.webp",
        media_type: "image/webp",
        bytes: include_bytes!("media/cells.webp"),
    },
    // The key is odd on purpose: space, `#`, `%`, `+` and a letter outside ASCII must arrive as they are.
    Sample {
        name: "fields",
        key: "tasks/7/fields #3 (50% é+NIR).png",
        media_type: "image/png",
        bytes: include_bytes!("media/fields.png"),
    },
    Sample {
        name: "audio",
        key: "tasks/7/melody.mp3",
        media_type: "audio/mpeg",
        bytes: include_bytes!("media/melody.mp3"),
    },
    Sample {
        name: "video",
        key: "tasks/7/crossing.mp4",
        media_type: "video/mp4",
        bytes: include_bytes!("media/crossing.mp4"),
    },
];

/// The object of task 8.
pub(super) const FOREIGN: Sample = Sample {
    name: "secret",
    key: FOREIGN_KEY,
    media_type: "image/png",
    bytes: include_bytes!("media/secret.png"),
};

/// The video with its frames moved apart by bytes that mean nothing, so that it weighs 12 MiB.
///
/// Browsers take a file of less than a mebibyte whole and then seek in memory. A camera's twelve seconds weigh
/// as much as these, and are asked for by ranges.
fn spread(video: &[u8]) -> Vec<u8> {
    const GAP: usize = 42_000;
    let word = |at: usize| u32::from_be_bytes(video[at..at + 4].try_into().expect("four bytes")) as usize;
    // ISO/IEC 14496-12: the table of offsets is type, version, count, entries; `make.py` has one per frame, and
    // the frames in order after it, to the end.
    let table = video.windows(4).position(|kind| kind == b"stco").expect("made with a table") + 12;
    let count = word(table - 4);
    let frame = |i: usize| if i < count { word(table + 4 * i) } else { video.len() };

    let mut wide = video[..frame(0)].to_vec();
    for i in 0..count {
        let moved_to = wide.len();
        put(&mut wide, table + 4 * i, moved_to);
        wide.extend_from_slice(&video[frame(i)..frame(i + 1)]);
        wide.resize(wide.len() + GAP, 0);
    }
    // The box that holds the frames begins with its size and type.
    let start = frame(0) - 8;
    let size = wide.len() - start;
    put(&mut wide, start, size);
    wide
}

fn put(bytes: &mut [u8], at: usize, number: usize) {
    let number = u32::try_from(number).expect("the sample is small");
    bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
}
