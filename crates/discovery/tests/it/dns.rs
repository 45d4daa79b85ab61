//! `dns`, with a name server inside the test; and the system's own names with `localhost`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use discovery::{Discovery, DiscoverySettings, ProviderType};
use tokio::net::UdpSocket;

use crate::conformance::{Server, conforms, discovery};
use crate::support::{
    OTHER, PORT, Running, SERVICE, provider_errors, services, settings, unchecked, until,
    until_broken,
};

/// The hosts of the two services.
const USERS: &str = "users";
const OTHERS: &str = "others";

/// What a name server says.
#[derive(Clone)]
enum Says {
    /// Of every name.
    Addresses(Vec<u8>),
    /// Of these, each of which is one label.
    Names(BTreeMap<&'static str, Vec<u8>>),
    Nothing,
    NoSuchName,
    ServerFailure,
    /// Of addresses of IPv4; of others, that there are none.
    HalfAFailure,
}

/// A name server, as far as it is asked here: addresses of IPv4 over UDP (RFC 1035).
struct Names {
    address: SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    held: BTreeMap<&'static str, Vec<u8>>,
}

impl Names {
    /// Its answers live for so many seconds.
    async fn start(ttl: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let says = Arc::new(Mutex::new(Says::NoSuchName));
        let asked = Arc::default();
        let names =
            Self { address: socket.local_addr().unwrap(), says, asked, held: BTreeMap::new() };
        let says = names.says.clone();
        let asked = names.asked.clone();
        tokio::spawn(async move {
            let mut question = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut question).await.unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
                let says = says.lock().unwrap().clone();
                if !matches!(says, Says::Nothing) {
                    let answer = answer(&question[..length], &says, ttl);
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        names
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn discovery_of(&self, refresh_interval: Duration, called: &[&str]) -> Discovery {
        let settings = DiscoverySettings {
            refresh_interval,
            dns_servers: vec![self.address.to_string()],
            ..settings(ProviderType::Dns)
        };
        let mut services = services(USERS, PORT);
        OTHERS.clone_into(&mut services.get_mut(OTHER).unwrap().host);
        Discovery::new(&settings, &services, &unchecked(), called).unwrap()
    }
}

fn answer(question: &[u8], says: &Says, ttl: u32) -> Vec<u8> {
    let name_end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let is_ipv4 = question[name_end..name_end + 2] == [0, 1];
    let (code, numbers) = match says {
        Says::Addresses(numbers) if is_ipv4 => (0, numbers.clone()),
        Says::Names(names) if is_ipv4 => {
            let label = &question[13..13 + usize::from(question[12])];
            let held = names.iter().find(|(name, _)| name.as_bytes() == label);
            (0, held.map(|(_, numbers)| numbers.clone()).unwrap_or_default())
        }
        Says::Addresses(_) | Says::Names(_) => (0, Vec::new()),
        Says::NoSuchName | Says::Nothing => (3, Vec::new()),
        Says::HalfAFailure if !is_ipv4 => (0, Vec::new()),
        Says::ServerFailure | Says::HalfAFailure => (2, Vec::new()),
    };
    let count = u8::try_from(numbers.len()).unwrap();
    let mut answer = question[..2].to_vec();
    // An answer, to a question that wished for recursion, from a server that has it.
    answer.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(&question[12..name_end + 4]);
    for number in numbers {
        // The name as in the question, A, IN, and four bytes of address.
        answer.extend([0xc0, 12, 0, 1, 0, 1]);
        answer.extend(ttl.to_be_bytes());
        answer.extend([0, 4, 10, 0, 0, number]);
    }
    answer
}

impl Server for Names {
    fn discovery(&self) -> Discovery {
        self.discovery_of(Duration::from_secs(1), &[SERVICE, OTHER])
    }

    async fn hold(&mut self, service: &str, numbers: &[u8]) {
        self.held.insert(if service == SERVICE { USERS } else { OTHERS }, numbers.to_vec());
        self.say(Says::Names(self.held.clone()));
    }

    async fn go_down(&mut self) {
        self.say(Says::ServerFailure);
    }

    async fn come_back(&mut self) {
        self.say(Says::Names(self.held.clone()));
    }

    async fn freeze(&mut self) {
        self.say(Says::Nothing);
    }

    async fn run_on(&mut self) {
        self.say(Says::Names(self.held.clone()));
    }
}

#[tokio::test]
async fn dns_conforms() {
    conforms(&mut Names::start(1).await).await;
}

#[tokio::test]
async fn a_name_that_is_gone_has_no_instances_and_a_server_that_cannot_say_changes_nothing() {
    let names = Names::start(1).await;
    names.say(Says::Addresses(vec![1, 2]));
    let running = Running::of(names.discovery());
    running.until_known(&[1, 2]).await;
    for failure in [Says::ServerFailure, Says::HalfAFailure] {
        names.say(failure);
        until_broken(provider_errors()).await;
        assert_eq!(running.known(), BTreeSet::from([1, 2]));
    }
    names.say(Says::NoSuchName);
    running.until_known(&[]).await;
    names.say(Says::Addresses(vec![3]));
    running.until_known(&[3]).await;
}

#[tokio::test]
async fn an_address_is_asked_for_again_when_its_time_to_live_is_over() {
    let names = Names::start(1).await;
    names.say(Says::Addresses(vec![1]));
    let running = Running::of(names.discovery_of(Duration::from_secs(3600), &[SERVICE]));
    running.until_known(&[1]).await;
    names.say(Says::Addresses(vec![2]));
    running.until_known(&[2]).await;
}

#[tokio::test]
async fn an_interval_of_nothing_asks_once_a_second() {
    let names = Names::start(0).await;
    names.say(Says::Addresses(vec![1]));
    let running = Running::of(names.discovery_of(Duration::ZERO, &[SERVICE]));
    running.until_known(&[1]).await;
    names.say(Says::Addresses(vec![2]));
    running.until_known(&[2]).await;
    assert!(names.asked.load(Ordering::SeqCst) <= 3, "{:?}", names.asked);
}

#[tokio::test]
async fn the_resolver_of_the_system_finds_localhost_once() {
    let running = Running::of(discovery(&settings(ProviderType::Dns)));
    let hosts = || {
        let statuses = running.registry.statuses(SERVICE);
        statuses.iter().map(|(instance, _)| instance.host.clone()).collect::<Vec<_>>()
    };
    until("an address", || !hosts().is_empty()).await;
    assert_eq!(hosts(), ["127.0.0.1"]);
}
