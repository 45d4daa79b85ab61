//! What the picks are compared with.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use discovery::Instance;
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, Load, PeakEwma, PendingRequests};

/// The least that a shared round robin does.
pub(crate) struct ArcSwapRoundRobin {
    instances: ArcSwap<Vec<Arc<Instance>>>,
    turn: AtomicUsize,
}

impl ArcSwapRoundRobin {
    pub(crate) fn new(instances: Vec<Instance>) -> Self {
        let instances = instances.into_iter().map(Arc::new).collect();
        Self { instances: ArcSwap::from_pointee(instances), turn: AtomicUsize::new(0) }
    }

    pub(crate) fn pick(&self) -> Arc<Instance> {
        let instances = self.instances.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        instances[turn % instances.len()].clone()
    }
}

/// The least that a shared choice of two does: two loads are compared, and the calls in flight of the one
/// with less go up by this call until it is over.
pub(crate) struct ArcSwapP2c(ArcSwap<Vec<Arc<Counted>>>);

struct Counted {
    _instance: Instance,
    in_flight: AtomicUsize,
    /// What a call takes, in nanoseconds.
    latency: AtomicU64,
}

pub(crate) struct InFlight {
    counted: Arc<Counted>,
    /// When the call began, where its latency is measured.
    _began: Option<Instant>,
}

impl ArcSwapP2c {
    pub(crate) fn new(instances: Vec<Instance>) -> Self {
        let counted = |instance| {
            let latency = AtomicU64::new(fastrand::u64(1_000..1_000_000));
            Arc::new(Counted { _instance: instance, in_flight: AtomicUsize::new(0), latency })
        };
        Self(ArcSwap::from_pointee(instances.into_iter().map(counted).collect()))
    }

    /// By calls in flight.
    pub(crate) fn pick(&self) -> InFlight {
        self.pick_by(None, |counted| counted.in_flight.load(Ordering::Relaxed))
    }

    /// By calls in flight and latency. That has to be measured: one in eight reads the clock.
    pub(crate) fn pick_by_latency(&self) -> InFlight {
        let began = fastrand::u64(..).is_multiple_of(8).then(Instant::now);
        self.pick_by(began, |counted| {
            let latency = counted.latency.load(Ordering::Relaxed);
            (counted.in_flight.load(Ordering::Relaxed) as u64 + 1) * latency
        })
    }

    #[inline]
    fn pick_by<T: Ord>(&self, began: Option<Instant>, load: impl Fn(&Counted) -> T) -> InFlight {
        let instances = self.0.load();
        let first = fastrand::usize(..instances.len());
        let second = (first + fastrand::usize(1..instances.len())) % instances.len();
        let is_second = load(&instances[second]) < load(&instances[first]);
        let counted = instances[if is_second { second } else { first }].clone();
        counted.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { counted, _began: began }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counted.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An instance that answers at once.
#[derive(Clone)]
pub(crate) struct AtOnce;

impl Service<()> for AtOnce {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

/// tower's p2c, owned by one thread: it is neither shared nor cloned, and would need a `Buffer`,
/// which costs a task switch more.
pub(crate) struct TowerBalance<S>(RefCell<Balance<ServiceList<Vec<S>>, ()>>)
where
    S: Service<()>;

impl TowerBalance<PendingRequests<AtOnce>> {
    pub(crate) fn pending(count: u16) -> Self {
        let one = || PendingRequests::new(AtOnce, CompleteOnResponse::default());
        Self::of((0..count).map(|_| one()).collect())
    }
}

impl TowerBalance<PeakEwma<AtOnce>> {
    pub(crate) fn peak_ewma(count: u16) -> Self {
        let first = Duration::from_millis(30);
        let decay = Duration::from_secs(10);
        let decay = decay.as_secs_f64() * 1e9;
        let one = || PeakEwma::new(AtOnce, first, decay, CompleteOnResponse::default());
        Self::of((0..count).map(|_| one()).collect())
    }
}

impl<S> TowerBalance<S>
where
    S: Service<()> + Load,
    S::Error: Into<tower::BoxError>,
    S::Metric: std::fmt::Debug,
{
    fn of(services: Vec<S>) -> Self {
        Self(RefCell::new(Balance::new(ServiceList::new(services))))
    }

    /// A whole call: there is no pick without one.
    pub(crate) fn call(&self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut balance = self.0.borrow_mut();
        assert!(balance.poll_ready(&mut context).is_ready());
        let mut call = Box::pin(balance.call(()));
        assert!(call.as_mut().poll(&mut context).is_ready());
    }
}
