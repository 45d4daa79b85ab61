//! The wires: services call the servers, each other and the payment provider through the proxy, so that
//! `cargo dev fault` can slow, freeze and cut what is between them. The tool itself goes directly.
//!
//! A wire has its port for good, noted with the other ports. Where it leads stands in `.dev/wires.json`,
//! which the proxy follows: a server that comes back on another port needs no restart of any service.

use std::{
    net::{TcpStream, ToSocketAddrs},
    ops::Range,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Result, bail};
use faults::{FaultKind, Wire, Wires};
use testkit::native::port;

use crate::{
    fault,
    interrupt::Interrupt,
    ports::{self, Ports},
    private,
    project::Project,
    servers::Addresses,
    services::{SIMULATOR, end_of_log},
    state::Process,
};

/// The proxy's process, and its binary.
pub(crate) const PROXY: &str = "dev-proxy";
/// The servers, by the names of their processes.
pub(crate) const SERVERS: [&str; 3] = ["postgres", "redis", "rabbitmq"];
/// How long the proxy may take to listen.
const LISTEN_LIMIT: Duration = Duration::from_secs(10);
/// How long a target may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_millis(300);

/// What wires lead to.
pub(crate) fn targets(project: &Project) -> impl Iterator<Item = &str> {
    let services = project.services().iter().map(|service| service.name.as_str());
    SERVERS.into_iter().chain(services).chain([SIMULATOR])
}

/// The name by which a wire's port is noted.
pub(crate) fn key(target: &str) -> String {
    format!("{target} ({PROXY})")
}

/// A server's address as services have it: by its wire, where it can have one.
pub(crate) fn through(ports: &Ports, target: &str, address: &str) -> String {
    match (ports.get(&key(target)), place(address)) {
        (Some(port), Some(place)) => {
            let before = &address[..place.start];
            let after = &address[place.end..];
            format!("{before}127.0.0.1:{port}{after}")
        }
        _ => address.to_owned(),
    }
}

/// The port of 127.0.0.1 at which services call a process of ours.
pub(crate) fn port(ports: &Ports, target: &str) -> u16 {
    let port = ports.get(&key(target)).or_else(|| ports.get(target));
    port.copied().unwrap_or_default()
}

/// Notes where the wires lead, for the proxy to follow; gives the ports at which it has to begin to
/// listen.
pub(crate) fn write(project: &Project, addresses: &Addresses, ports: &Ports) -> Result<Vec<u16>> {
    let servers =
        [&addresses.postgres, &addresses.redis, &addresses.amqp].map(|it| host_and_port(it));
    let servers = SERVERS.into_iter().zip(servers);
    for (name, _) in servers.clone().filter(|(_, target)| target.is_none()) {
        println!(
            "services speak to {name} directly: its address is several, or its certificate is checked \
             against its name; `{}` cannot slow or cut that",
            project.command("fault")
        );
    }
    let own = targets(project).filter(|name| !SERVERS.contains(name));
    let own = own.map(|name| (name, ports.get(name).map(|port| format!("127.0.0.1:{port}"))));
    let wire = |(name, target): (&str, Option<String>)| {
        Some((name.to_owned(), Wire { port: *ports.get(&key(name))?, target: target? }))
    };
    let before = read(project);
    let wires = Wires(servers.chain(own).filter_map(wire).collect());
    let stays = |wire: &Wire| before.0.values().any(|old| old.port == wire.port);
    let new = wires.0.values().filter(|wire| !stays(wire)).map(|wire| wire.port).collect();
    let of_wires = ports.iter().filter(|(name, _)| name.ends_with(&key("")));
    ports::keep(&project.dev(""), of_wires.map(|(name, port)| (name.clone(), *port)))?;
    if wires != before {
        private::write(&file(project), &wires)?;
    }
    Ok(new)
}

/// The wires as they were noted last.
pub(crate) fn read(project: &Project) -> Wires {
    private::read(&file(project)).ok().flatten().unwrap_or_default()
}

/// Where the wires are noted.
pub(crate) fn file(project: &Project) -> PathBuf {
    project.dev("wires.json")
}

/// Waits until the proxy listens at these ports, but for those of wires that are cut, or whose target is
/// away: they refuse as it does.
pub(crate) fn wait(
    project: &Project,
    proxy: &Process,
    ports: &[u16],
    interrupt: &Interrupt,
) -> Result<()> {
    let cut = fault::active(project).into_iter().filter(|fault| fault.kind == FaultKind::Cut);
    let wires = read(project).0;
    let cut: Vec<u16> = cut.filter_map(|fault| Some(wires.get(&fault.target)?.port)).collect();
    let is_away = |port: u16| {
        let wire = wires.values().find(|wire| wire.port == port);
        wire.is_some_and(|wire| !is_reached(&wire.target))
    };
    let listens = interrupt.poll(LISTEN_LIMIT, || {
        if !proxy.is_running() {
            bail!("{PROXY} ended before it was ready; {}", end_of_log(proxy));
        }
        let mut to_listen = ports.iter().filter(|port| !cut.contains(port));
        let listens = to_listen.all(|port| port::is_held_by(*port, proxy.pid) || is_away(*port));
        Ok(listens.then_some(()))
    })?;
    if listens.is_none() {
        bail!("{PROXY} does not listen everywhere; {}", end_of_log(proxy));
    }
    Ok(())
}

/// Whether somebody accepts connections there.
fn is_reached(target: &str) -> bool {
    let addresses = target.to_socket_addrs().into_iter().flatten();
    let connect = |address| TcpStream::connect_timeout(&address, CONNECT_LIMIT);
    addresses.into_iter().any(|address| connect(address).is_ok())
}

/// What is before a wire: where a server is. None where services have to speak to it directly, because
/// its certificate is for its own name, or because it is at several places.
pub(crate) fn host_and_port(address: &str) -> Option<String> {
    let place = &address[place(address)?];
    let usual = match address.split_once("://")?.0 {
        "redis" => 6379,
        "amqp" => 5672,
        _ => 5432,
    };
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(if has_port { place.to_owned() } else { format!("{place}:{usual}") })
}

/// The part of an address that says where the server is.
fn place(address: &str) -> Option<Range<usize>> {
    let (scheme, rest) = address.split_once("://")?;
    let is_direct = !matches!(scheme, "postgres" | "postgresql" | "redis" | "amqp")
        || ["sslmode=verify-full", "host=", "hostaddr=", "port="]
            .iter()
            .any(|it| rest.contains(it));
    let start = scheme.len() + 3;
    let end = rest.find(['/', '?']).map_or(address.len(), |end| start + end);
    let start = address[start..end].rfind('@').map_or(start, |at| start + at + 1);
    (!is_direct && start < end && !address[start..end].contains(',')).then_some(start..end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_goes_through_the_proxy_with_all_else_as_it_was() {
        let ports = Ports::from([(key("postgres"), 7), ("redis".to_owned(), 8)]);
        for (address, expected) in [
            (
                "postgres://me:p@ss@db.example:5432/x?sslmode=require",
                "postgres://me:p@ss@127.0.0.1:7/x?sslmode=require",
            ),
            ("postgres://[::1]:5432", "postgres://127.0.0.1:7"),
            ("postgres://db/x", "postgres://127.0.0.1:7/x"),
            ("postgres://db?application_name=a@b", "postgres://127.0.0.1:7?application_name=a@b"),
        ] {
            assert_eq!(through(&ports, "postgres", address), expected);
        }
        assert_eq!(through(&ports, "redis", "redis://h:1"), "redis://h:1", "it has no wire");
        assert_eq!((port(&ports, "postgres"), port(&ports, "redis")), (7, 8));
    }

    #[test]
    fn where_a_name_is_verified_or_a_server_is_at_several_places_it_is_spoken_to_directly() {
        let ports = Ports::from([(key("postgres"), 7)]);
        for address in [
            "postgres://db/x?sslmode=verify-full",
            "postgres://one,two/x",
            "postgres:///x?host=/var/run",
            "rediss://h:1",
            "no address",
        ] {
            assert_eq!(through(&ports, "postgres", address), address);
            assert_eq!(host_and_port(address), None, "{address}");
        }
        assert_eq!(host_and_port("redis://:secret@h/0").unwrap(), "h:6379");
        assert_eq!(host_and_port("amqp://a:b@[::1]/v").unwrap(), "[::1]:5672");
        assert_eq!(host_and_port("amqp://a:b@[::1]:1/v").unwrap(), "[::1]:1");
    }
}
