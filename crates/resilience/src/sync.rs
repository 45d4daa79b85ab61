//! The atomics and locks of the lock-free parts: the standard ones, or loom's while it checks them.
//!
//! Loom tries interleavings and the old values that the memory model lets a load see. It misses
//! orders in which a store comes before another thread's load and after loads of its own:
//! `RUSTFLAGS="--cfg loom_resilience" cargo test -p resilience --lib --release interleavings`.

#[cfg(not(loom_resilience))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom_resilience))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(loom_resilience)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom_resilience)]
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[cfg(not(loom_resilience))]
pub(crate) use numbers::thread_number;

#[cfg(not(loom_resilience))]
mod numbers {
    use std::cell::Cell;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    const UNNUMBERED: usize = usize::MAX;
    /// That of all threads that are about to end.
    const ENDING: usize = usize::MAX - 1;

    /// What the next thread gets: a number that a thread before it gave back, or a new one.
    struct Numbers {
        free: Vec<usize>,
        next: usize,
    }

    /// The lock also shows a thread what the one before it with its number has written.
    static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers { free: Vec::new(), next: 0 });

    thread_local! {
        // A constant without a destructor, which costs less to look up than a lazy value.
        static MINE: Cell<usize> = const { Cell::new(UNNUMBERED) };
        static TAKEN: Taken = Taken::new();
    }

    /// The number of the calling thread, which no other thread that runs has.
    #[inline]
    pub(crate) fn thread_number() -> usize {
        match MINE.get() {
            UNNUMBERED => number_thread(),
            number => number,
        }
    }

    #[cold]
    fn number_thread() -> usize {
        let number = TAKEN.try_with(|taken| taken.0).unwrap_or(ENDING);
        MINE.set(number);
        number
    }

    /// A number until its thread ends.
    struct Taken(usize);

    impl Taken {
        fn new() -> Self {
            let mut numbers = lock();
            let free = numbers.free.pop();
            Self(free.unwrap_or_else(|| {
                numbers.next += 1;
                numbers.next - 1
            }))
        }
    }

    impl Drop for Taken {
        fn drop(&mut self) {
            // What the thread still counts when it ends is counted beside others.
            MINE.set(ENDING);
            lock().free.push(self.0);
        }
    }

    fn lock() -> MutexGuard<'static, Numbers> {
        NUMBERS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    mod tests {
        use std::collections::BTreeSet;
        use std::sync::Barrier;

        use super::*;

        #[test]
        fn threads_that_run_have_numbers_of_their_own_and_leave_them_to_others() {
            let mut all = BTreeSet::new();
            for _ in 0..50 {
                let barrier = Barrier::new(3);
                let number = || {
                    let number = thread_number();
                    barrier.wait();
                    assert_eq!(thread_number(), number);
                    number
                };
                let numbers: BTreeSet<usize> = std::thread::scope(|scope| {
                    let threads = [(); 3].map(|()| scope.spawn(number));
                    threads.map(|thread| thread.join().unwrap()).into()
                });
                assert_eq!(numbers.len(), 3);
                all.extend(numbers);
            }
            // Other tests run beside this one, each in a thread or a few.
            assert!(all.len() < 100, "150 threads had {} numbers", all.len());
        }

        #[test]
        fn what_a_thread_counts_while_it_ends_is_counted_beside_others() {
            struct AtTheEnd(std::sync::mpsc::Sender<usize>);
            impl Drop for AtTheEnd {
                fn drop(&mut self) {
                    self.0.send(thread_number()).unwrap();
                }
            }
            thread_local!(static LATE: Cell<Option<AtTheEnd>> = const { Cell::new(None) });
            let (sender, receiver) = std::sync::mpsc::channel();
            std::thread::spawn(|| {
                // What is there first is dropped last.
                LATE.set(Some(AtTheEnd(sender)));
                assert!(thread_number() < ENDING);
            });
            assert_eq!(receiver.recv().unwrap(), ENDING);
        }
    }
}

#[cfg(loom_resilience)]
loom::thread_local! {
    static NUMBER: std::cell::Cell<usize> = std::cell::Cell::new(0);
}

/// The number that the calling thread of a model gave itself.
#[cfg(loom_resilience)]
pub(crate) fn thread_number() -> usize {
    NUMBER.with(std::cell::Cell::get)
}

/// Gives the calling thread of a model a number, which chooses its stripe.
#[cfg(test)]
#[cfg(loom_resilience)]
pub(crate) fn number_thread(number: usize) {
    NUMBER.with(|cell| cell.set(number));
}
