//! Relays in an origin's process, as clients and a server of datagrams see them.

mod common;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use common::{agent, origin};
use load::{DatagramRelayCounts, DatagramRelayShape};
use origin::{DatagramRelay, Origin};

/// Both ends, one after the other: what one sends, the relay has passed on or dropped when the
/// next comes.
struct Ends {
    relay: DatagramRelay,
    server: UdpSocket,
    client: UdpSocket,
    // Dropped after the relay.
    _origin: Origin,
}

impl Ends {
    fn new(change: impl FnOnce(DatagramRelayShape) -> DatagramRelayShape) -> Self {
        let origin = origin();
        let [server, client] = [socket(), socket()];
        let relay = DatagramRelay::open(origin.url(), &change(shape(&server))).expect("a relay");
        client.connect(relay.address()).expect("an address");
        Self {
            relay,
            server,
            client,
            _origin: origin,
        }
    }

    fn counts(&self) -> DatagramRelayCounts {
        let counts = self.relay.counts().expect("counts");
        DatagramRelayCounts {
            cpu_ns: 0,
            ..counts
        }
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let patience = Some(Duration::from_secs(10));
    socket.set_read_timeout(patience).expect("a limit");
    socket
}

fn shape(server: &UdpSocket) -> DatagramRelayShape {
    DatagramRelayShape {
        server: server.local_addr().expect("its address"),
        buffer_bytes: 212_992,
        seed: 1,
        lose: 0,
        double: 0,
        reorder: 0,
    }
}

fn datagram(run: u64, client: u32, number: u32) -> Vec<u8> {
    let (client, number) = (client.to_le_bytes(), number.to_le_bytes());
    [&run.to_le_bytes()[..], &client, &number, b"what is sent"].concat()
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut room = [0; 100];
    let (bytes, from) = socket.recv_from(&mut room).expect("a datagram");
    (room[..bytes].to_vec(), from)
}

#[test]
fn datagrams_go_to_the_server_and_back_to_their_client() {
    let ends = Ends::new(|shape| shape);
    let other = socket();
    other.connect(ends.relay.address()).expect("an address");
    let both = [(&ends.client, 0), (&other, 1)];
    for (socket, client) in both {
        socket.send(&datagram(1, client, 0)).expect("sent");
    }
    for _ in both {
        let (asked, from) = receive(&ends.server);
        assert_eq!(from, ends.relay.address());
        ends.server.send_to(&asked, from).expect("sent");
    }
    for (socket, client) in both {
        assert_eq!(receive(socket).0, datagram(1, client, 0));
    }
    let right = DatagramRelayCounts {
        requests: 2,
        echoes: 2,
        ..DatagramRelayCounts::default()
    };
    assert_eq!(ends.counts(), right);
    assert_eq!(
        ends.counts(),
        DatagramRelayCounts::default(),
        "taken already"
    );
}

#[test]
fn what_is_of_an_earlier_run_or_has_no_head_goes_no_further() {
    let ends = Ends::new(|shape| shape);
    let relay = ends.relay.address();
    let all = [
        datagram(2, 0, 0),
        datagram(1, 0, 7),
        b"no head".to_vec(),
        datagram(2, 0, 1),
    ];
    for sent in &all {
        ends.client.send(sent).expect("sent");
    }
    for sent in [&all[0], &all[3]] {
        assert_eq!(receive(&ends.server).0, *sent);
    }
    // An echo of another client has nowhere to go.
    for echo in [datagram(1, 0, 0), datagram(2, 5, 0), all[0].clone()] {
        ends.server.send_to(&echo, relay).expect("sent");
    }
    assert_eq!(receive(&ends.client).0, all[0]);
    let counts = ends.counts();
    assert_eq!(
        (counts.requests, counts.echoes, counts.unanswered),
        (2, 1, 1)
    );
    // A new run has counts of its own.
    ends.client.send(&datagram(2, 0, 2)).expect("sent");
    ends.client.send(&datagram(3, 0, 2)).expect("sent");
    assert_eq!(receive(&ends.server).0, datagram(2, 0, 2));
    assert_eq!(receive(&ends.server).0, datagram(3, 0, 2));
    assert_eq!(ends.counts().requests, 1);
}

const SENT: u32 = 400;

/// Which of these the server gets. Each is followed by one of another client, again and again
/// until that comes through, so no buffer is ever full.
fn passed(ends: &Ends, run: u64) -> Vec<u32> {
    let mut passed = Vec::new();
    let mut room = [0; 100];
    for number in 0..SENT {
        let [asked, mark] = [0, 1].map(|client| datagram(run, client, number));
        ends.client.send(&asked).expect("sent");
        ends.client.send(&mark).expect("sent");
        loop {
            match ends.server.recv(&mut room) {
                Ok(bytes) if room[..bytes] == asked => passed.push(number),
                Ok(bytes) if room[..bytes] == mark => break,
                // One more of an earlier mark.
                Ok(_) => {}
                Err(_) => {
                    ends.client.send(&mark).expect("sent");
                }
            }
        }
    }
    passed
}

#[test]
fn the_same_are_lost_in_every_run() {
    let ends = Ends::new(|shape| DatagramRelayShape { lose: 100, ..shape });
    let patience = Some(Duration::from_millis(20));
    ends.server.set_read_timeout(patience).expect("a limit");
    let first = passed(&ends, 1);
    let lost = SENT as usize - first.len();
    assert!((10..100).contains(&lost), "{lost} of {SENT}");
    assert_eq!(passed(&ends, 2), first);
    let counts = ends.counts();
    assert!(counts.lost_requests >= lost as u64, "{counts:?}");
    assert_eq!(counts.unanswered, 2 * u64::from(SENT), "no echo was sent");
}

#[test]
fn all_can_be_lost_on_the_way_there() {
    let ends = Ends::new(|shape| DatagramRelayShape {
        lose: 1_000,
        ..shape
    });
    for number in 0..5 {
        ends.client.send(&datagram(1, 0, number)).expect("sent");
    }
    let right = DatagramRelayCounts {
        requests: 5,
        lost_requests: 5,
        unanswered: 5,
        ..DatagramRelayCounts::default()
    };
    assert_eq!(ends.counts(), right);
}

#[test]
fn datagrams_are_doubled_and_reordered() {
    let ends = Ends::new(|shape| DatagramRelayShape {
        double: 1_000,
        ..shape
    });
    ends.client.send(&datagram(1, 0, 0)).expect("sent");
    for _ in 0..2 {
        assert_eq!(receive(&ends.server).0, datagram(1, 0, 0));
    }
    assert_eq!(ends.counts().doubled, 1);

    // Each is held back, unless one is: they change places in pairs. One that is alone comes, too.
    let ends = Ends::new(|shape| DatagramRelayShape {
        reorder: 1_000,
        ..shape
    });
    ends.client.send(&datagram(1, 0, 0)).expect("sent");
    assert_eq!(receive(&ends.server).0, datagram(1, 0, 0));
    let mut came = Vec::new();
    for number in 1..41 {
        ends.client.send(&datagram(1, 0, number)).expect("sent");
    }
    for _ in 1..41 {
        came.push(receive(&ends.server).0);
    }
    assert!(
        !came.is_sorted_by_key(|datagram| u32::from(datagram[12])),
        "in order"
    );
    came.sort();
    came.dedup();
    assert_eq!(came.len(), 40);
    assert!(ends.counts().reordered > 0);
}

#[test]
fn what_is_no_relay_is_refused() {
    let origin = origin();
    let url = format!("{}/datagram-relays", origin.url());
    for (body, status) in [("", 400), ("{}", 400)] {
        let answer = agent().post(&url).send(body).expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{body}");
    }
    let unknown = agent()
        .post(&format!("{url}/7"))
        .send("")
        .expect("an answer");
    assert_eq!(unknown.status().as_u16(), 404);
}
