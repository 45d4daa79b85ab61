//! What a pick reads: the endpoints that may be picked, worked out once per change and not once per
//! pick.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Time;
use crate::eligibility::{Eligibility, Judged, judge};
use crate::endpoint::Endpoint;
use crate::rendezvous::Table;
use crate::weights::slots;
use crate::{Algorithm, Ejection, Instance, LoadBalancingSettings, Status};

/// In so many steps a slow start grows.
const STEPS: u32 = 20;
/// The shortest step.
const STEP_MIN: Duration = Duration::from_millis(10);

/// One service's endpoints at one time. Never changed: a change makes another.
#[derive(Debug, Default)]
pub(crate) struct Set {
    /// All that are registered, in the order of registration.
    pub(crate) endpoints: Box<[Arc<Endpoint>]>,
    /// Of each.
    eligibility: Box<[Eligibility]>,
    /// Those to pick from, one that has twice the weight of another twice; where keys have homes, each
    /// once.
    pub(crate) slots: Box<[Arc<Endpoint>]>,
    /// `ip_hash`: which slot a key belongs to.
    pub(crate) table: Option<Table>,
    /// Those that only trials go to.
    pub(crate) ejected: Box<[Arc<Endpoint>]>,
    /// Whose health is checked.
    pub(crate) checked: Box<[Arc<Endpoint>]>,
    /// When shares have grown by a step; none while nobody is in a slow start.
    pub(crate) grows_at: Option<Time>,
    /// Whether so few could be picked that all are.
    pub(crate) is_panicking: bool,
    /// Whether one more may be ejected.
    pub(crate) may_eject: bool,
}

/// One instance of a service, as its operators see it.
#[derive(Debug, Clone)]
pub struct Report {
    /// The instance.
    pub instance: Arc<Instance>,
    /// What is known of its health, and how many calls are in flight.
    pub status: Status,
    /// Whether new calls go to it; to one that is ejected, trials alone.
    pub is_called: bool,
    /// What speaks for it or against it.
    pub eligibility: Eligibility,
    /// Why, since when and until when it is ejected.
    pub ejection: Option<Ejection>,
    /// Whether so many of its calls failed in a row that it would be ejected, were not too many others.
    pub is_failing: bool,
}

impl Set {
    pub(crate) fn build(
        endpoints: Box<[Arc<Endpoint>]>,
        settings: &LoadBalancingSettings,
        caller: u64,
        before: &Self,
    ) -> Self {
        let Judged { eligibility, called, pool, is_panicking } =
            judge(&endpoints, settings, caller);
        let is_ejected = |index: &usize| matches!(eligibility[*index], Eligibility::Ejected(_));
        let all = |indices: &mut dyn Iterator<Item = usize>| -> Box<[Arc<Endpoint>]> {
            indices.map(|index| endpoints[index].clone()).collect()
        };
        let ejected = all(&mut pool.iter().copied().filter(is_ejected));
        let checked = if pool.len() < eligibility.len() && settings.subset_size > 0 {
            all(&mut pool.iter().copied())
        } else {
            endpoints.clone()
        };
        let share = |index: usize| endpoints[index].share(settings.slow_start);
        let is_warming = called.iter().any(|(index, _)| share(*index) < 1.0);
        let weighted = |(index, part): &(usize, f64), share: f64| {
            let endpoint = &endpoints[*index];
            (endpoint.clone(), f64::from(endpoint.weight) * part * share)
        };
        let (slots, table) = if settings.algorithm == Algorithm::IpHash {
            // A slow start would move keys at each step.
            let weighted: Vec<_> = called.iter().map(|it| weighted(it, 1.0)).collect();
            let takes = |(index, _): &(usize, f64)| is_panicking || !is_ejected(index);
            let takes = called.iter().map(takes).collect();
            let table = Table::new(&weighted, takes, before.table.as_ref());
            (weighted.into_iter().map(|(endpoint, _)| endpoint).collect(), Some(table))
        } else {
            let weighted: Vec<_> = called.iter().map(|it| weighted(it, share(it.0))).collect();
            (slots(&weighted), None)
        };
        let step = (settings.slow_start / STEPS).max(STEP_MIN);
        let ejected_max = pool.len() * settings.ejection_percent_max as usize / 100;
        Self {
            slots,
            table,
            may_eject: ejected.len() < ejected_max,
            ejected,
            checked,
            grows_at: (is_warming && settings.algorithm != Algorithm::IpHash)
                .then(|| Time::now().after(step)),
            is_panicking,
            eligibility,
            endpoints,
        }
    }

    /// Whether there is one that `fits` and is not known to be down, wherever it is.
    pub(crate) fn has_well(&self, fits: impl Fn(&Endpoint) -> bool) -> bool {
        let well = Eligibility::Spare.rank();
        let mut all = self.endpoints.iter().zip(&self.eligibility);
        all.any(|(endpoint, eligibility)| eligibility.rank() <= well && fits(endpoint))
    }

    /// One that `fits`, wherever it is: anyone of those against whom the least speaks.
    #[cold]
    pub(crate) fn any_that(&self, fits: impl Fn(&Endpoint) -> bool) -> Option<&Arc<Endpoint>> {
        let all = self.endpoints.iter().zip(&self.eligibility);
        let fitting: Vec<_> = all.filter(|(endpoint, _)| fits(endpoint)).collect();
        let best = fitting.iter().map(|(_, eligibility)| eligibility.rank()).min()?;
        let best = fitting.iter().filter(|(_, eligibility)| eligibility.rank() == best);
        let best: Vec<_> = best.map(|(endpoint, _)| *endpoint).collect();
        fastrand::choice(best)
    }

    /// Every instance, in the order of registration.
    pub(crate) fn reports(&self, settings: &LoadBalancingSettings) -> Vec<Report> {
        let slots: HashSet<_> = self.slots.iter().map(Arc::as_ptr).collect();
        let report = |(endpoint, eligibility): (&Arc<Endpoint>, &Eligibility)| {
            let has_slot = slots.contains(&Arc::as_ptr(endpoint));
            let outlier = &endpoint.state.outlier;
            let ejection = outlier.ejection();
            Report {
                instance: endpoint.instance.clone(),
                status: endpoint.status(),
                is_called: has_slot && (self.is_panicking || ejection.is_none()),
                eligibility: *eligibility,
                ejection,
                is_failing: ejection.is_none()
                    && outlier.failures_in_a_row() >= settings.ejection_threshold.max(1),
            }
        };
        self.endpoints.iter().zip(&self.eligibility).map(report).collect()
    }
}
