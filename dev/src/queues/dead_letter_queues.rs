//! The dead-letter queues of the running services, and the calls of their admin routes.

use anyhow::Result;
use serde_json::{Map, Value};

use crate::{
    admin::{self, Admin, checked, escaped},
    project::Project,
};

/// One service's queue.
#[derive(Debug)]
pub(super) struct DeadLetterQueue {
    pub(super) service: String,
    pub(super) queue: String,
    /// Messages that wait for the consumer.
    pub(super) waiting: u64,
    /// `http://host:port/admin/queues/<queue>`
    url: String,
}

/// The dead-letter queues, and what is needed to call them.
#[derive(Debug)]
pub(super) struct DeadLetterQueues {
    admin: Admin,
    pub(super) all: Vec<DeadLetterQueue>,
}

impl DeadLetterQueues {
    /// The queues of all running services, or of one.
    pub(super) fn find(project: &Project, service: Option<&str>) -> Result<Self> {
        let admin = Admin::find(project, service)?;
        let mut all = Vec::new();
        for (service, url) in &admin.services {
            let queues = admin.call("GET", &format!("{url}/admin/queues"), None)?;
            for queue in queues.as_array().into_iter().flatten() {
                let name = queue["queue"].as_str().unwrap_or_default().to_owned();
                let waiting = queue["waiting"].as_u64().unwrap_or(0);
                let url = format!("{url}/admin/queues/{name}");
                all.push(DeadLetterQueue { service: service.clone(), queue: name, waiting, url });
            }
        }
        Ok(Self { admin, all })
    }

    /// The same call for each dead-letter queue, one after the other.
    pub(super) fn each(
        &self,
        call: impl Fn(&DeadLetterQueue) -> Result<Value>,
    ) -> Result<Vec<(&DeadLetterQueue, Value)>> {
        self.all.iter().map(|dlq| Ok((dlq, call(dlq)?))).collect()
    }

    pub(super) fn list(&self, dlq: &DeadLetterQueue, filter: &Map<String, Value>) -> Result<Value> {
        let url = format!("{}/dead-letters?{}", dlq.url, admin::query(filter));
        self.admin.call("GET", &url, None)
    }

    /// None when the message is not in this queue.
    pub(super) fn peek(&self, dlq: &DeadLetterQueue, id: &str) -> Result<Option<Value>> {
        let url = format!("{}/dead-letters/{}", dlq.url, escaped(id));
        let answer = self.admin.send("GET", &url, None)?;
        if answer.status == 404 { Ok(None) } else { checked(&answer).map(Some) }
    }

    /// `replay` or `discard`.
    pub(super) fn act(&self, dlq: &DeadLetterQueue, action: &str, body: &Value) -> Result<Value> {
        self.admin.call("POST", &format!("{}/{action}", dlq.url), Some(body))
    }
}
