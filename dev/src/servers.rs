//! PostgreSQL, Redis and RabbitMQ: where each of them comes from, and their addresses.
//!
//! An address in the environment comes first; otherwise the server is started from the machine's
//! own binaries as a private process.

use std::{env, thread, time::Instant};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use testkit::native::{Postgres, RabbitMq, Redis, Server, ServerOptions};

use crate::{
    data_version,
    install::{self, Permission},
    interrupt::Interrupt,
    ports,
    state::Process,
    wires::SERVERS,
};

/// Where the servers answer. Holds passwords.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// `postgres://` of a superuser.
    pub(crate) postgres: String,
    /// `redis://`.
    pub(crate) redis: String,
    /// `amqp://`, the virtual host `/` when it names none.
    pub(crate) amqp: String,
    /// `http://` of RabbitMQ's management API; empty when it is not known.
    pub(crate) rabbitmq_api: String,
}

/// A server's address without the login, for showing.
pub(crate) fn shown(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    host.split('/').next().unwrap_or(host).to_owned()
}

/// The parts of an `amqp://` address, as services read them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broker<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: &'a str,
    pub(crate) username: &'a str,
    pub(crate) password: &'a str,
    pub(crate) vhost: String,
}

impl<'a> Broker<'a> {
    /// Reads an address; a login with escaped characters is not understood.
    pub(crate) fn parse(url: &'a str) -> Result<Self> {
        let parse = || {
            let rest = url.strip_prefix("amqp://")?;
            let (login, rest) = rest.rsplit_once('@').unwrap_or(("guest:guest", rest));
            let (username, password) = login.split_once(':')?;
            let (address, vhost) = rest.split_once('/').unwrap_or((rest, ""));
            let (host, port) = address.split_once(':').unwrap_or((address, "5672"));
            let vhost = if vhost.is_empty() {
                "/".into()
            } else {
                vhost.replace("%2f", "/").replace("%2F", "/")
            };
            Some(Self { host, port, username, password, vhost })
        };
        parse().ok_or_else(|| anyhow!("an AMQP address reads amqp://user:password@host:port/vhost"))
    }
}

/// Addresses that the environment gives, by variables that begin with a prefix.
#[derive(Debug, Default)]
pub(crate) struct ExternalAddresses {
    pub(crate) postgres: Option<String>,
    pub(crate) redis: Option<String>,
    pub(crate) amqp: Option<String>,
    pub(crate) rabbitmq_api: Option<String>,
}

impl ExternalAddresses {
    /// `<PREFIX>_POSTGRES_URL`, `_REDIS_URL`, `_AMQP_URL`, `_RABBITMQ_API`; each may stand alone.
    pub(crate) fn from_environment(prefix: &str) -> Self {
        let get =
            |name: &str| env::var(format!("{prefix}_{name}")).ok().filter(|url| !url.is_empty());
        Self {
            postgres: get("POSTGRES_URL"),
            redis: get("REDIS_URL"),
            amqp: get("AMQP_URL"),
            rabbitmq_api: get("RABBITMQ_API"),
        }
    }
}

/// Where one server comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// It runs already.
    At(String),
    /// We start it there.
    Start(ServerOptions),
    /// The command does without it.
    Unused,
}

impl Source {
    /// The given address, or `otherwise`.
    pub(crate) fn external_or(address: Option<String>, otherwise: Self) -> Self {
        address.map_or(otherwise, Self::At)
    }

    pub(crate) fn options(&self) -> Option<&ServerOptions> {
        match self {
            Self::Start(options) => Some(options),
            Self::At(_) | Self::Unused => None,
        }
    }

    /// The same when the data stays there.
    fn kept(&self) -> Option<&ServerOptions> {
        self.options().filter(|options| options.keep)
    }

    fn address(&self) -> Option<&str> {
        match self {
            Self::At(address) => Some(address),
            Self::Start(_) | Self::Unused => None,
        }
    }
}

/// Where all servers come from.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) postgres: Source,
    pub(crate) redis: Source,
    pub(crate) rabbitmq: Source,
    /// The management API of a RabbitMQ that runs already.
    pub(crate) rabbitmq_api: Option<String>,
}

impl Plan {
    /// The servers that we start ourselves, each with its package.
    pub(crate) fn started(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let sources = [&self.postgres, &self.redis, &self.rabbitmq];
        let names = SERVERS.into_iter().zip(["postgresql", "redis-server", "rabbitmq-server"]);
        let sources = names.zip(sources).filter(|(_, source)| source.options().is_some());
        sources.map(|(names, _)| names)
    }

    /// The packages of the servers that we start ourselves.
    pub(crate) fn packages(&self) -> Vec<&'static str> {
        self.started().map(|(_, package)| package).collect()
    }

    /// An error for data that one of the servers cannot go on with.
    fn check_data(&self) -> Result<()> {
        let postgres = self.postgres.kept().and_then(|options| {
            data_version::postgres(&options.folder, data_version::postgres_version().as_deref())
        });
        let rabbitmq = self.rabbitmq.kept().and_then(|options| {
            data_version::rabbitmq(&options.folder, data_version::rabbitmq_version().as_deref())
        });
        match postgres.or(rabbitmq) {
            Some(mismatch) => Err(anyhow!("{}; {}", mismatch.what, mismatch.mend)),
            None => Ok(()),
        }
    }
}

/// The servers of a system. Those that we started end with this value unless they are detached.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) addresses: Addresses,
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    rabbitmq: Option<RabbitMq>,
    /// The port that RabbitMQ was to have.
    wanted: Option<u16>,
    begin: Instant,
}

/// Says so when a server did not get the port that it asked for.
fn tell_move(name: &str, wanted: Option<u16>, port: u16) {
    if let Some(wanted) = wanted.filter(|wanted| *wanted != port) {
        ports::tell_move(name, wanted, port);
    }
}

impl Servers {
    /// Starts them side by side. PostgreSQL and Redis answer when this returns; RabbitMQ, which
    /// takes ten times as long, is on its way: its address is known and [`Self::wait_broker`] says
    /// when it answers.
    pub(crate) fn start(plan: &Plan) -> Result<Self> {
        let begin = Instant::now();
        plan.check_data()?;
        let (rabbitmq, postgres, redis) = thread::scope(|scope| {
            let rabbitmq =
                scope.spawn(|| plan.rabbitmq.options().map(RabbitMq::launch).transpose());
            let postgres = scope.spawn(|| plan.postgres.options().map(Postgres::start).transpose());
            let redis = scope.spawn(|| plan.redis.options().map(Redis::start).transpose());
            (rabbitmq.join(), postgres.join(), redis.join())
        });
        let broken = |_| anyhow!("starting a server broke off");
        let rabbitmq = rabbitmq.map_err(broken)?.context("start RabbitMQ");
        let postgres = postgres.map_err(broken)?.context("start PostgreSQL");
        let redis = redis.map_err(broken)?.context("start Redis");
        // All are joined before the first error goes out, so that the others are dropped and end.
        let rabbitmq = rabbitmq?;
        let postgres = postgres?;
        let redis = redis?;

        let wanted = |source: &Source| source.options().and_then(|options| options.port);
        if let Some(server) = &postgres {
            tell_move("postgres", wanted(&plan.postgres), server.port());
        }
        if let Some(server) = &redis {
            tell_move("redis", wanted(&plan.redis), server.port());
        }
        let at = |source: &Source| source.address().unwrap_or_default().to_owned();
        let addresses = Addresses {
            postgres: postgres.as_ref().map_or_else(|| at(&plan.postgres), Postgres::url),
            redis: redis.as_ref().map_or_else(|| at(&plan.redis), Redis::url),
            amqp: rabbitmq.as_ref().map_or_else(|| at(&plan.rabbitmq), RabbitMq::amqp_url),
            rabbitmq_api: rabbitmq.as_ref().map_or_else(
                || plan.rabbitmq_api.clone().unwrap_or_default(),
                RabbitMq::management_url,
            ),
        };
        Ok(Self { addresses, postgres, redis, rabbitmq, wanted: wanted(&plan.rabbitmq), begin })
    }

    /// Starts them, with what is missing for them installed where that is permitted, and waits until all answer.
    pub(crate) fn ready(plan: &Plan, may: Permission, interrupt: &Interrupt) -> Result<Self> {
        install::ensure(&plan.packages(), may, interrupt)?;
        let mut servers = Self::start(plan)?;
        servers.wait_broker(interrupt)?;
        Ok(servers)
    }

    /// Waits until RabbitMQ answers, when we started it; an interrupt ends it, and the waiting. Its
    /// address is only certain after this: somebody else may have taken its port meanwhile.
    pub(crate) fn wait_broker(&mut self, interrupt: &Interrupt) -> Result<()> {
        let Some(server) = &mut self.rabbitmq else { return Ok(()) };
        let outcome = server.wait_ready_unless(|| interrupt.is_set());
        interrupt.check()?;
        outcome.context("start RabbitMQ")?;
        if server.options().keep {
            data_version::note_rabbitmq(&server.options().folder)?;
        }
        tell_move("rabbitmq", self.wanted, server.port());
        self.addresses.amqp = server.amqp_url();
        self.addresses.rabbitmq_api = server.management_url();
        println!("rabbitmq answers after {:.1} s", self.begin.elapsed().as_secs_f64());
        Ok(())
    }

    /// The processes that we started.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let of = |server: &Server, port: u16| {
            let members = server.members().into_iter();
            members
                .map(|member| Process::server(&member, Some(port), &server.options().log))
                .collect::<Vec<_>>()
        };
        let postgres = self.postgres.iter().flat_map(|server| of(server, server.port()));
        let redis = self.redis.iter().flat_map(|server| of(server, server.port()));
        let rabbitmq = self.rabbitmq.iter().flat_map(|server| of(server, server.port()));
        postgres.chain(redis).chain(rabbitmq).collect()
    }

    /// Leaves them running.
    pub(crate) fn detach(self) {
        self.postgres.into_iter().for_each(Postgres::detach);
        self.redis.into_iter().for_each(Redis::detach);
        self.rabbitmq.into_iter().for_each(RabbitMq::detach);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_amqp_address_is_taken_apart() {
        let broker = Broker::parse("amqp://tusk:secret@127.0.0.1:5682").unwrap();
        let expected = Broker {
            host: "127.0.0.1",
            port: "5682",
            username: "tusk",
            password: "secret",
            vhost: "/".to_owned(),
        };
        assert_eq!(broker, expected);
        assert_eq!(Broker::parse("amqp://host/orders").unwrap().vhost, "orders");
        assert_eq!(Broker::parse("amqp://host/%2f").unwrap().vhost, "/");
        assert!(Broker::parse("http://host").is_err());
    }

    #[test]
    fn an_address_is_shown_without_its_login() {
        assert_eq!(shown("postgres://me:secret@127.0.0.1:5442/postgres"), "127.0.0.1:5442");
        assert_eq!(shown("redis://127.0.0.1:6389"), "127.0.0.1:6389");
    }
}
