//! What a request costs before a byte of media moves: each stage, and a whole 303.
//!
//! Measured is the CPU time of the one thread that does the work, not the time that passes, so that other
//! work on the same machine disturbs little. Nothing is asserted about time.
#![expect(clippy::unwrap_used, reason = "a bench that cannot set itself up has failed")]

mod redirect;
mod setup;
mod stages;

use std::time::Duration;

use criterion::{
    BatchSize, Criterion, criterion_group, criterion_main,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use nix::time::{ClockId, clock_gettime};

use redirect::{Connection, Requests, gateway, handle, logged};

fn each_stage(criterion: &mut Criterion<CpuTime>) {
    for stages::Stage { name, mut run } in stages::all() {
        criterion.bench_function(name, |bencher| bencher.iter(&mut run));
    }
}

fn whole_redirect(criterion: &mut Criterion<CpuTime>) {
    let (gateway, text) = gateway();
    let mut requests = Requests::new(&text);
    let mut call = |criterion: &mut Criterion<CpuTime>, name| {
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched(
                || requests.next(),
                |request| handle(&gateway, request),
                BatchSize::SmallInput,
            );
        });
    };
    call(criterion, "redirect/handle_unlogged");
    logged(|| call(criterion, "redirect/handle_logged"));

    let mut fixed = Connection::to_fixed_answer();
    criterion.bench_function("redirect/connection_baseline", |bencher| bencher.iter(|| fixed.exchange()));
    let mut served = Connection::to_gateway();
    criterion.bench_function("redirect/connection_unlogged", |bencher| bencher.iter(|| served.exchange()));
    logged(|| {
        criterion.bench_function("redirect/connection_logged", |bencher| bencher.iter(|| served.exchange()));
    });
}

/// CPU time of this thread, kernel time included.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
    }

    fn end(&self, start: Duration) -> Duration {
        self.start().saturating_sub(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a sample, for statistics")]
    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = each_stage, whole_redirect
}
criterion_main!(benches);
