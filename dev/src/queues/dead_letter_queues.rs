//! The dead-letter queues of the running services, and the calls of their admin routes.

use anyhow::Result;
use serde_json::{Map, Value};

use crate::{
    admin::{self, Admin, Missing, checked, escaped},
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
    all: Vec<DeadLetterQueue>,
    /// Services whose queues are not known.
    missing: Vec<Missing>,
}

/// The answers of those who answered, and who did not.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    pub(super) given: Vec<(&'a DeadLetterQueue, Value)>,
    pub(super) missing: Vec<Missing>,
}

impl DeadLetterQueues {
    /// The queues of all running services, or of one.
    pub(super) fn find(project: &Project, service: Option<&str>) -> Result<Self> {
        let admin = Admin::find(project, service)?;
        let (mut all, mut missing) = (Vec::new(), admin.missing.clone());
        for (service, url) in &admin.services {
            match queues_of(&admin, service, url) {
                Ok(found) => all.extend(found),
                Err(error) => missing.push(Missing::new(service, &error)),
            }
        }
        Ok(Self { admin, all, missing })
    }

    /// The same call for each dead-letter queue, one after the other.
    pub(super) fn each(&self, call: impl Fn(&DeadLetterQueue) -> Result<Value>) -> Answers<'_> {
        let asked = self.all.iter().map(|queue| (queue, Value::Null)).collect();
        let nobody = Answers { given: asked, missing: self.missing.clone() };
        nobody.then(|queue, _| call(queue))
    }

    pub(super) fn list(
        &self,
        queue: &DeadLetterQueue,
        filter: &Map<String, Value>,
    ) -> Result<Value> {
        let url = format!("{}/dead-letters?{}", queue.url, admin::query(filter));
        self.admin.call("GET", &url, None)
    }

    /// Null when the message is not in this queue.
    pub(super) fn peek(&self, queue: &DeadLetterQueue, id: &str) -> Result<Value> {
        let url = format!("{}/dead-letters/{}", queue.url, escaped(id));
        let answer = self.admin.send("GET", &url, None)?;
        if answer.status == 404 { Ok(Value::Null) } else { checked(&answer) }
    }

    /// `replay` or `discard`, with its query if it has one.
    pub(super) fn act(&self, queue: &DeadLetterQueue, action: &str, body: &Value) -> Result<Value> {
        self.admin.call("POST", &format!("{}/{action}", queue.url), Some(body))
    }
}

impl<'a> Answers<'a> {
    /// A call for each that has answered, with its answer; who does not answer this one is missing.
    pub(super) fn then(
        mut self,
        call: impl Fn(&DeadLetterQueue, &Value) -> Result<Value>,
    ) -> Answers<'a> {
        let mut given = Vec::new();
        for (queue, answer) in self.given {
            match call(queue, &answer) {
                Ok(answer) => given.push((queue, answer)),
                Err(error) => self.missing.push(Missing::new(&queue.service, &error)),
            }
        }
        Answers { given, missing: self.missing }
    }
}

fn queues_of(admin: &Admin, service: &str, url: &str) -> Result<Vec<DeadLetterQueue>> {
    let queues = admin.call("GET", &format!("{url}/admin/queues"), None)?;
    let queues = queues.as_array().into_iter().flatten().map(|queue| {
        let name = queue["queue"].as_str().unwrap_or_default().to_owned();
        DeadLetterQueue {
            service: service.to_owned(),
            url: format!("{url}/admin/queues/{name}"),
            queue: name,
            waiting: queue["waiting"].as_u64().unwrap_or(0),
        }
    });
    Ok(queues.collect())
}
