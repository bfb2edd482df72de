//! The allocator of every process, and when it gives back what is free.
//!
//! mimalloc returns freed memory to the system when it has been free for a second (its option `purge_delay`), but looks only when it runs
//! out of pages or when a thread ends (`_mi_arenas_collect` in its `page.c` and `theap.c`). A process that rests would so keep what its
//! start and its busiest minute took: three times of what it needs.
use std::{hint::black_box, io, thread};

/// One for every process: a call makes some hundred small allocations on several threads, of which glibc's allocator took a sixth of the
/// time; and the static images would otherwise fall to musl's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stack of a thread that does nothing.
const STACK: usize = 64 * 1024;

/// Returns what has been free for a second to the system: by a thread that allocates, so that it has a heap, and ends.
///
/// # Errors
/// No thread can be started.
pub(crate) fn give_back() -> io::Result<()> {
    let ending = thread::Builder::new().name("memory".to_owned()).stack_size(STACK);
    ending.spawn(|| drop(black_box(Box::new(0_u64)))).map(drop)
}
