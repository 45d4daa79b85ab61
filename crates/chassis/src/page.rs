//! Keyset pagination: newest first, by id. Ids are UUIDv7, so they sort by time, and a page never
//! repeats or skips a row because others were added meanwhile, as an offset would.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::Problem;

/// Items on a page when the caller does not say.
const LIMIT_DEFAULT: u16 = 20;
/// Items on a page at most.
const LIMIT_MAX: u16 = 100;

/// `?limit=…&cursor=…`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Items on the page, 1 to 100; 20 when not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
    /// The `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// A request for a page, within bounds.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    limit: u16,
    /// Only items with a smaller id.
    pub before: Option<Uuid>,
}

impl PageQuery {
    /// What a query asks for that says more than the page.
    pub fn new(limit: Option<u16>, cursor: Option<Uuid>) -> Self {
        Self { limit, cursor }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// A 400 problem when the limit is not within 1 to 100.
    pub fn check(&self) -> Result<PageRequest, Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::bad_request(format!("limit must be 1 to {LIMIT_MAX}")));
        }
        Ok(PageRequest { limit, before: self.cursor })
    }
}

impl PageRequest {
    /// How many rows to fetch: one more than the page holds tells whether another page follows.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Give it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<Uuid>,
}

impl<T> Page<T> {
    /// Makes the page from [`PageRequest::rows`] rows.
    pub fn new(mut rows: Vec<T>, request: PageRequest, id: impl Fn(&T) -> Uuid) -> Self {
        let limit = usize::from(request.limit);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(id) } else { None };
        Self { items: rows, next_cursor }
    }

    /// The same page with each item rendered.
    pub fn map<U>(self, render: impl FnMut(T) -> U) -> Page<U> {
        let items = self.items.into_iter().map(render).collect();
        Page { items, next_cursor: self.next_cursor }
    }
}
