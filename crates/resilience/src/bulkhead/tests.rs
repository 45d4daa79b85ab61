//! The bulkhead's rules, then against a plain model over random interleavings.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;

#[test]
fn places_are_refused_when_taken_and_come_back() {
    let bulkhead = Bulkhead::new(2);
    let first = bulkhead.try_acquire().unwrap();
    let _second = bulkhead.try_acquire().unwrap();
    assert!(bulkhead.try_acquire().is_none());
    assert_eq!((bulkhead.in_use(), bulkhead.capacity()), (2, 2));
    drop(first);
    assert_eq!((bulkhead.in_use(), bulkhead.capacity()), (1, 2));
    assert!(bulkhead.try_acquire().is_some());
}

/// What may happen to a bulkhead. Numbers pick a permit or a caller that waits.
#[derive(Debug, Clone, Copy)]
enum Step {
    Try,
    Wait,
    Release(usize),
    GiveUp(usize),
    Look,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Try),
        3 => Just(Step::Wait),
        3 => (0_usize..8).prop_map(Step::Release),
        1 => (0_usize..8).prop_map(Step::GiveUp),
        2 => Just(Step::Look),
    ];
    prop::collection::vec(step, 0..200)
}

/// Places as a plain count; callers that wait as a plain queue, each with a place or not yet.
struct Model {
    free: usize,
    queue_max: usize,
    queue: VecDeque<bool>,
}

impl Model {
    fn enter(&mut self) -> bool {
        let enters = self.free > 0;
        self.free -= usize::from(enters);
        enters
    }

    fn release(&mut self) {
        match self.queue.iter_mut().find(|has_place| !**has_place) {
            Some(first) => *first = true,
            None => self.free += 1,
        }
    }

    fn give_up(&mut self, index: usize) {
        if self.queue.remove(index) == Some(true) {
            self.release();
        }
    }
}

type Turn<'a> = Pin<Box<dyn Future<Output = Result<BulkheadPermit, Full>> + 'a>>;

fn poll(turn: &mut Turn<'_>) -> Poll<Result<BulkheadPermit, Full>> {
    turn.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn run(places: usize, queue_max: usize, steps: Vec<Step>) {
    let bulkhead = Bulkhead::with_queue(places, queue_max);
    let mut model = Model { free: places, queue_max, queue: VecDeque::new() };
    let mut permits = Vec::new();
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for step in steps {
        match step {
            Step::Try => {
                let permit = bulkhead.try_acquire();
                assert_eq!(permit.is_some(), model.enter());
                permits.extend(permit);
            }
            Step::Wait => {
                let mut turn: Turn<'_> = Box::pin(bulkhead.acquire());
                match poll(&mut turn) {
                    Poll::Ready(Ok(permit)) => {
                        assert!(model.enter());
                        permits.push(permit);
                    }
                    Poll::Ready(Err(Full)) => assert_eq!(model.queue.len(), model.queue_max),
                    Poll::Pending => {
                        assert!(model.free == 0 && model.queue.len() < model.queue_max);
                        model.queue.push_back(false);
                        turns.push(turn);
                    }
                }
            }
            Step::Release(pick) if !permits.is_empty() => {
                drop(permits.remove(pick % permits.len()));
                model.release();
            }
            Step::GiveUp(pick) if !turns.is_empty() => {
                let index = pick % turns.len();
                drop(turns.remove(index));
                model.give_up(index);
            }
            Step::Look => {
                for index in (0..turns.len()).rev() {
                    let ready = poll(&mut turns[index]);
                    assert_eq!(ready.is_ready(), model.queue[index]);
                    if let Poll::Ready(permit) = ready {
                        permits.push(permit.unwrap());
                        drop(turns.remove(index));
                        model.queue.remove(index);
                    }
                }
            }
            Step::Release(_) | Step::GiveUp(_) => {}
        }
        assert_eq!((bulkhead.free(), bulkhead.waiting()), (model.free, model.queue.len()));
    }
}

proptest! {
    #[test]
    fn it_behaves_as_the_model_over_any_interleaving(
        places in 0_usize..4, queue_max in 0_usize..4, steps in steps(),
    ) {
        run(places, queue_max, steps);
    }
}
