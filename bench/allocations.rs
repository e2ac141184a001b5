//! How often a request asks the allocator: each stage, and a whole 303. The counts do not depend on the machine.
//!
//! Every run does the same number of things, so that valgrind's tools can be put before it, too. An argument
//! selects what has it in its name.
#![expect(clippy::unwrap_used, reason = "a bench that cannot set itself up has failed")]
#![expect(clippy::print_stdout, reason = "the figures are what it is run for")]

mod redirect;
mod setup;
mod stages;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use redirect::{Connection, Requests, gateway, handle, logged};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    println!("{:32} {:>12} {:>12}", "each time", "allocations", "bytes");
    for stages::Stage { name, mut run } in stages::all() {
        count(name, || (), |()| run());
    }
    let (gateway, text) = gateway();
    let mut requests = Requests::new(&text);
    count("redirect/handle_unlogged", || requests.next(), |request| handle(&gateway, request));
    logged(|| count("redirect/handle_logged", || requests.next(), |request| handle(&gateway, request)));

    let mut fixed = Connection::to_fixed_answer();
    count("redirect/connection_baseline", || (), |()| fixed.exchange());
    let mut served = Connection::to_gateway();
    count("redirect/connection_unlogged", || (), |()| served.exchange());
    logged(|| count("redirect/connection_logged", || (), |()| served.exchange()));
}

/// Prints what one run asks for, on average over many: caches tidy themselves up now and then.
fn count<T>(name: &str, mut prepare: impl FnMut() -> T, mut run: impl FnMut(T)) {
    const RUNS: u32 = 4000;
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    if wanted.is_some_and(|wanted| !name.contains(&wanted)) {
        return;
    }
    for _ in 0..RUNS {
        run(prepare());
    }
    let inputs: Vec<T> = (0..RUNS).map(|_| prepare()).collect();
    let region = Region::new(ALLOCATOR);
    inputs.into_iter().for_each(&mut run);
    let change = region.change();
    let calls = f64::from(u32::try_from(change.allocations + change.reallocations).unwrap());
    let bytes = f64::from(u32::try_from(change.bytes_allocated).unwrap());
    println!("{name:32} {:12.2} {:12.0}", calls / f64::from(RUNS), bytes / f64::from(RUNS));
}
