//! When a presigned URL is signed and when it ends.
//!
//! The signing time is rounded down to a window of half the ttl, aligned to the Unix epoch. All replicas
//! thus make the same URL for an object within one window, which is what lets the cache of URLs and the
//! caches of browsers hit. What must stay true: a URL that was not cut lives for at least half the ttl, and
//! none outlives what it is cut to (the credentials, the token).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest life of a presigned URL (Amazon S3 User Guide, "Download and upload objects with presigned
/// URLs").
pub const MAX_TTL: Duration = Duration::from_hours(24 * 7);
/// The shortest ttl whose half is a window of whole seconds.
pub const MIN_TTL: Duration = Duration::from_secs(2);

/// A signing time and a life, both in whole seconds.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Window {
    /// Seconds since the Unix epoch: `X-Amz-Date`.
    pub(crate) signed_at: u64,
    /// 1 to 604,800: `X-Amz-Expires`.
    pub(crate) expires: u32,
}

impl Window {
    /// The window around `now`, ending at `cut` where that is earlier.
    ///
    /// The ttl is taken as [`MIN_TTL`] to [`MAX_TTL`]. `None` when nothing is left before the cut.
    pub(crate) fn around(now: SystemTime, ttl: Duration, cut: SystemTime) -> Option<Self> {
        let ttl = ttl.clamp(MIN_TTL, MAX_TTL).as_secs();
        let since_epoch = now.duration_since(UNIX_EPOCH).ok()?;
        let signed_at = since_epoch.as_secs() - since_epoch.as_secs() % (ttl / 2);
        let cut = cut.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let ends = cut.min(signed_at + ttl);
        if Duration::from_secs(ends) <= since_epoch {
            return None;
        }
        let expires = u32::try_from(ends - signed_at).ok()?;
        Some(Self { signed_at, expires })
    }

    pub(crate) fn signed_at(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.signed_at)
    }

    pub(crate) fn ends(self) -> SystemTime {
        self.signed_at() + Duration::from_secs(self.expires.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: f64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn windows() {
        let never = 4e9;
        for (now, ttl, cut, want) in [
            (1000.0, 900, never, Some((900, 900))),
            (900.0, 900, never, Some((900, 900))),
            (899.999, 900, never, Some((450, 900))),
            (1349.999, 900, never, Some((900, 900))),
            (1000.0, 900, 1200.0, Some((900, 300))),
            (1000.0, 900, 1200.9, Some((900, 300))),
            (1000.0, 900, 1800.0, Some((900, 900))),
            (1000.0, 900, 1001.0, Some((900, 101))),
            (1000.0, 900, 1000.0, None),
            (1000.5, 900, 1000.9, None),
            (1000.0, 900, 10.0, None),
            (1000.5, 0, never, Some((1000, 2))),
            (1000.5, 1, never, Some((1000, 2))),
            (1000.5, 2, never, Some((1000, 2))),
            (1000.5, 3, never, Some((1000, 3))),
            (302_400.0, 604_800, never, Some((302_400, 604_800))),
            (302_399.0, 999_999_999, never, Some((0, 604_800))),
        ] {
            let window = Window::around(at(now), Duration::from_secs(ttl), at(cut));
            let got = window.map(|window| (window.signed_at, window.expires));
            assert_eq!(got, want, "now {now}, ttl {ttl}, cut {cut}");
        }
        assert_eq!(Window::around(UNIX_EPOCH - Duration::from_secs(1), MIN_TTL, at(never)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_url_lives_for_half_its_ttl_unless_cut(
            now in 0.0..4e9_f64,
            ttl in 2_u64..=604_800,
            left in -1e6..1e6_f64,
        ) {
            let (now, ttl) = (at(now), Duration::from_secs(ttl));
            let cut = if left < 0.0 { at(1.0) } else { now + Duration::from_secs_f64(left) };
            let Some(window) = Window::around(now, ttl, cut) else {
                // Nothing is left within the second of the cut, and only then.
                prop_assert!(cut < now + Duration::from_secs(1));
                return Ok(());
            };
            prop_assert!(window.signed_at() <= now && now < window.ends());
            prop_assert!(window.ends() <= cut);
            prop_assert!((1..=604_800).contains(&window.expires));
            prop_assert!(Duration::from_secs(window.expires.into()) <= ttl);
            if cut >= now + ttl {
                prop_assert!(window.ends() >= now + ttl / 2);
                let next = Window::around(now + Duration::from_millis(1), ttl, cut + ttl);
                prop_assert!(next.is_some_and(|next| next == window || next.signed_at > window.signed_at));
            }
        }
    }
}
