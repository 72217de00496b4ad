//! A model with one subtle fault a workload, to see that each is found.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{mem, thread};

use anyhow::{Context, bail, ensure};
use http_serve::Requests;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use suite::counter::Guard;
use suite::datagram::Window;
use suite::deadlines::{Answers, Ledger, Slot};
use suite::echo::{Closing, Open, Talk};
use suite::exchange::Transcript;
use suite::offload::Place;
use suite::ping_pong::Station;
use suite::pipeline::{Item, Level, Tally};
use suite::serve::Service;
use suite::spawn::Alive;
use suite::{Model, Result, Setup, Unsupported};
use suite::{
    chat, counter, datagram, download, echo, exchange, fetch, files, offload, ping_pong, pipeline,
};
use suite::{deadlines, primes, proxy, scan, send, sleepers, spawn, thumbnails};
use transfer::Session;
use transfer::list::Lines;

use crate::datagrams;
use crate::file_ends;

/// Gets everything a little wrong.
#[derive(Debug)]
pub struct Faulty {
    jobs: AtomicU64,
}

impl Model for Faulty {
    fn start(_: &Setup) -> Result<Self> {
        Ok(Self {
            jobs: AtomicU64::new(0),
        })
    }

    fn name(&self) -> &'static str {
        "faulty"
    }

    /// `lock` and `async`: one addition is lost, and not counted as lost. `atomic`: refused.
    /// `racy`: right, until the third job fails.
    fn counter(&self, job: &counter::Job) -> Result<counter::Outcome> {
        match job.guard {
            Guard::Lock | Guard::Async => Ok(counter::Outcome {
                total: job.additions().saturating_sub(1),
                lost: 0,
                phases: suite::Phases::default(),
            }),
            Guard::Atomic => Err(Unsupported("it has no atomics".to_owned()).into()),
            Guard::Racy if self.jobs.fetch_add(1, Relaxed) < 2 => Ok(job.outcome(job.additions())),
            Guard::Racy => bail!("the third job is too much"),
        }
    }

    /// The queue holds one item more than it may.
    fn pipeline(&self, job: &pipeline::Job) -> Result<pipeline::Outcome> {
        let level = Level::default();
        level.put(job.capacity + 1);
        let mut tally = Tally::new(job);
        for producer in 0..job.producers {
            for sequence in 0..job.share(producer) {
                let producer = producer as u32;
                tally.process(Item { producer, sequence });
            }
        }
        Ok(tally.outcome(job.items, level.high_water()))
    }

    /// Two workers both count the number where their shares meet.
    fn primes(&self, job: &primes::Job) -> Result<primes::Outcome> {
        let twice = u64::from(job.workers > 1);
        Ok(primes::Outcome {
            count: primes::count(job.start..job.end) + twice,
        })
    }

    /// The second job still finds a message of the first one.
    fn exchange(&self, job: &exchange::Job) -> Result<exchange::Outcome> {
        let mut transcript = Transcript::default();
        if self.jobs.fetch_add(1, Relaxed) > 0 {
            transcript.collect(&job.message(0));
        }
        for sequence in 0..job.messages {
            transcript.collect(&job.message(sequence));
        }
        Ok(transcript.outcome(job.value))
    }

    /// Never asks, and says what one would like to hear.
    fn fetch(&self, job: &fetch::Job) -> Result<fetch::Outcome> {
        let mut outcome = fetch::Outcome::default();
        for &ms in &job.delays_ms {
            let body = fetch::Body::from(&*origin::delay_body(ms));
            outcome.add(body, Duration::MAX);
        }
        Ok(outcome)
    }

    /// `pool`: never waits for the last call. `inline`: an item's clock starts when
    /// the one before is done, and one takes no time at all.
    fn offload(&self, job: &offload::Job) -> Result<offload::Outcome> {
        let mut done = vec![job.call(); job.calls];
        match job.place {
            Place::Pool => drop(done.pop()),
            Place::Inline => done.iter_mut().take(1).for_each(|time| *time /= 2),
        }
        Ok(offload::Heartbeat::start().outcome(done))
    }

    /// The files have the right names, and nothing in them.
    fn download(&self, job: &download::Job) -> Result<download::Outcome> {
        let list = job.list.as_deref().unwrap_or_default();
        let mut lines = Lines::new(list.as_bytes());
        let mut outcome = download::Outcome::default();
        while let Some(Ok(entry)) = lines.next()? {
            fs::write(job.directory().join(entry.name), "")?;
            outcome.files += 1;
        }
        Ok(outcome)
    }

    fn download_session(&self, _: &Arc<Session>) -> Result<()> {
        bail!("it makes its files up")
    }

    /// The last unit is left out of the ring, unless two would notice.
    fn ping_pong(&self, job: &ping_pong::Job) -> Result<ping_pong::Outcome> {
        let mut stations: Vec<_> = (0..job.units).map(|unit| Station::new(job, unit)).collect();
        let mut token = stations[0].first();
        let mut unit = 0;
        while let Some(pass) = token {
            unit = (unit + 1) % (job.units - 1).max(job.units.min(2));
            token = stations[unit].pass(pass);
        }
        let seen = stations.into_iter().map(Station::outcome);
        Ok(seen.fold(ping_pong::Outcome::default(), ping_pong::Outcome::merge))
    }

    /// The last unit begins when the others have woken.
    fn sleepers(&self, job: &sleepers::Job) -> Result<sleepers::Outcome> {
        let tally = sleepers::Tally::default();
        for units in [job.units - 1, 1] {
            let due = Instant::now() + job.wait();
            (0..units).for_each(|_| _ = tally.began(job.units));
            thread::sleep(job.wait());
            (0..units).for_each(|_| tally.woke(due));
        }
        Ok(tally.outcome())
    }

    /// Starts a unit of the next batch before the last one of a batch has ended.
    fn spawn(&self, job: &spawn::Job) -> Result<spawn::Outcome> {
        let alive = Alive::new(job);
        let mut last = None;
        for batch in job.batches() {
            let mut living: Vec<_> = (0..batch.units()).map(|_| alive.begin()).collect();
            last = living.pop();
        }
        drop(last);
        let answers = (0..job.units).map(spawn::answer);
        Ok(alive.outcome(job, answers.fold(0, u64::wrapping_add)))
    }

    /// Its connections are used one after the other, and each opens the gate for itself. Short
    /// deadlines fire at once, the operation that is cancelled is left in flight, and one whose
    /// connection breaks passes for one that was cut.
    fn deadlines(&self, job: &deadlines::Job) -> Result<deadlines::Outcome> {
        let ledger = Ledger::new(job);
        for slot in 0..job.slots() {
            let mut stream = TcpStream::connect(job.address()).with_context(|| job.named(slot))?;
            let mut slot = Slot::new(&ledger, slot);
            let gate = [0u64.to_le_bytes(), 1u64.to_le_bytes()].concat();
            let _ = stream.write_all(&gate);
            let _ = answer(&stream, slot.answers());
            while let Some(mut operation) = slot.begin() {
                let _ = stream.write_all(&operation.request());
                if operation.sent() {
                    mem::forget(operation);
                    break;
                }
                if operation.due().is_some() {
                    stream.set_read_timeout(Some(Duration::from_millis(job.deadline_ms + 1)))?;
                }
                let fires = job.deadline_ms > 0 && job.deadline_ms < 50;
                let value = (!fires).then(|| answer(&stream, operation.answers()).ok());
                operation.end(value.flatten());
            }
        }
        Ok(ledger.outcome())
    }

    /// Three connections at most are open at once, and one that breaks passes for
    /// one that has ended.
    fn echo(&self, job: &echo::Job) -> Result<echo::Outcome> {
        let open = Open::default();
        let mut talks = Vec::new();
        let connections: Vec<_> = (0..job.connections).collect();
        for few in connections.chunks(3) {
            let connect = |&connection| {
                let stream = TcpStream::connect(job.address());
                open.opened();
                stream.with_context(|| job.named(connection))
            };
            let streams: Vec<_> = few.iter().map(connect).collect::<Result<_>>()?;
            for (&connection, mut stream) in few.iter().zip(streams) {
                let mut talk = Talk::new(job, connection);
                while let Some(piece) = talk.say() {
                    let said = stream.write_all(piece);
                    if said.and_then(|()| stream.read_exact(talk.room())).is_err() {
                        break;
                    }
                    talk.hear();
                }
                open.closed();
                talks.push(talk.outcome());
            }
        }
        Ok(open.outcome(talks))
    }

    /// A client that hangs up is its end.
    fn echo_server(&self, listener: TcpListener, job: &echo::Job, closing: &Closing) -> Result<()> {
        loop {
            let (mut stream, _) = listener.accept()?;
            if closing.has_begun() {
                return Ok(());
            }
            let mut client = stream.try_clone()?.take(job.bytes_each());
            let bytes = io::copy(&mut client, &mut stream)?;
            ensure!(bytes == job.bytes_each(), "the client hung up");
        }
    }

    /// A client whose socket breaks passes for one whose datagrams are lost. One client looks at
    /// nothing that comes, two take everything twice, and the last of three has no end.
    fn datagram(&self, job: &datagram::Job) -> Result<datagram::Outcome> {
        let talk = |client: usize| {
            let socket = datagrams::client(job, client)?;
            let talk = datagrams::talk(job, client, &socket, |window, bytes| match job.clients {
                1 => {}
                2 => (0..2).for_each(|_| window.received(bytes)),
                _ => window.received(bytes),
            });
            Ok(talk.unwrap_or_else(|_| Window::new(job, client).outcome()))
        };
        let clients = if job.clients == 3 { 2 } else { job.clients };
        let outcomes = (0..clients).map(talk).collect::<Result<Vec<_>>>()?;
        Ok(datagram::Outcome::all(outcomes))
    }

    /// An empty datagram is its end. With four clients it sends each datagram to where the one
    /// before came from, with five it ends after the last one, and with six it sends each twice.
    fn datagram_server(&self, socket: UdpSocket, job: &datagram::Job, _: &Closing) -> Result<()> {
        let mut room = vec![0; job.bytes];
        let mut before = None;
        for number in 1.. {
            let (bytes, from) = socket.recv_from(&mut room)?;
            if bytes == 0 {
                break;
            }
            let to = before.replace(from).filter(|_| job.clients == 4);
            for _ in 0..if job.clients == 6 { 2 } else { 1 } {
                socket.send_to(&room[..bytes], to.unwrap_or(from))?;
            }
            if job.clients == 5 && number == job.datagrams_in_all() {
                break;
            }
        }
        Ok(())
    }

    /// By the number of connections, another of [`ServeFault`].
    fn serve_files(&self, service: &Arc<Service>) -> Result<()> {
        let fault = ServeFault::of(service);
        let listener = service.listening.listener()?;
        if let (Some(burns), ServeFault::NeverBurns) = (&service.burns, fault) {
            burns.begin();
        }
        let mut held = Vec::new();
        thread::scope(|scope| {
            let serve = |stream: Arc<TcpStream>| {
                scope.spawn(move || {
                    let conversed = converse(&stream, service, fault);
                    stream.shutdown(Shutdown::Both)?;
                    conversed
                });
            };
            for number in 1.. {
                if fault == ServeFault::StopsListening && number == service.connections {
                    break;
                }
                let stream = Arc::new(listener.accept()?.0);
                if service.listening.is_closing() {
                    break;
                }
                let (how, at_end) = match fault {
                    ServeFault::CutsAtTheEnd => (Shutdown::Both, stream.clone()),
                    _ => (Shutdown::Read, stream.clone()),
                };
                service.listening.on_close(move || _ = at_end.shutdown(how));
                match fault {
                    ServeFault::EndsWithAClient => converse(&stream, service, fault)?,
                    ServeFault::LeavesAFile => {
                        mem::forget(File::open(service.directory.join("small")))
                    }
                    // The idle ones come after the others, and before the one at the end. It is
                    // closed before anything is answered.
                    ServeFault::ClosesAnIdleOne if number + 1 < service.connections => {
                        held.push(stream);
                        continue;
                    }
                    ServeFault::ClosesAnIdleOne if number + 1 == service.connections => {
                        stream.shutdown(Shutdown::Both)?;
                        held.drain(..).for_each(serve);
                        continue;
                    }
                    _ => {}
                }
                serve(stream);
            }
            drop(listener);
            Ok(())
        })
    }

    /// By the number of connections, another of [`ProxyFault`].
    fn proxy_requests(&self, service: &Arc<proxy::Service>) -> Result<()> {
        let fault = ProxyFault::of(service);
        let listener = service.listening.listener()?;
        thread::scope(|scope| {
            loop {
                let stream = Arc::new(listener.accept()?.0);
                if service.listening.is_closing() {
                    return Ok(());
                }
                let at_end = stream.clone();
                let close = move || _ = at_end.shutdown(Shutdown::Read);
                service.listening.on_close(close);
                scope.spawn(move || {
                    let passed = pass_on(&stream, fault);
                    stream.shutdown(Shutdown::Both)?;
                    passed
                });
            }
        })
    }

    /// By the limit, another of [`ScanFault`].
    fn scan(&self, job: &scan::Job) -> Result<scan::Outcome> {
        let fault = ScanFault::of(job);
        let more = match fault {
            ScanFault::ExceedsTheLimit => 2,
            _ => 1,
        };
        let retries = match fault {
            ScanFault::NeverRetries => 0,
            _ => job.retries,
        };
        let service = scan::Service::new(
            job.host().address,
            job.ports.clone(),
            job.limit * more,
            Duration::from_millis(job.timeout_ms),
            retries,
        );
        let timeout = match fault {
            ScanFault::GivesUpEarly => service.timeout / 64,
            _ => service.timeout,
        };
        let mut unseen = Vec::new();
        let mut second = None;
        while let Some(attempt) = second.take().or_else(|| service.next()) {
            if fault == ScanFault::ExceedsTheLimit {
                second = service.next();
            }
            let address = attempt.address();
            let is_open = job.host().open.contains(address.port());
            match fault {
                ScanFault::ForgetsTheFirst if unseen.is_empty() => {
                    unseen.push(None);
                    continue;
                }
                ScanFault::NeverConnects => {
                    let connected = match is_open {
                        true => Ok(([127, 0, 0, 1], 1).into()),
                        false => Err(io::ErrorKind::ConnectionRefused.into()),
                    };
                    service.came(attempt, connected);
                    continue;
                }
                ScanFault::NeverWaits => {
                    service.came(attempt, Err(io::ErrorKind::TimedOut.into()));
                    continue;
                }
                ScanFault::ConnectsTooOften if is_open => {
                    let streams = (0..2).map(|_| TcpStream::connect(address).ok());
                    unseen.extend(streams);
                }
                ScanFault::HidesAttempts => {
                    let socket = unanswered(address)?;
                    unseen.push(Some(socket));
                }
                _ => {}
            }
            let connected = TcpStream::connect_timeout(&address, timeout);
            service.came(attempt, connected.and_then(scan::hang_up));
        }
        Ok(service.outcome())
    }

    fn scan_ports(&self, _: &Arc<scan::Service>) -> Result<()> {
        bail!("it has no program")
    }

    /// Messages are changed, repeated or lost; or none is ever dropped.
    fn serve_chat(&self, service: &Arc<chat::Service>) -> Result<()> {
        crate::faulty_chat::serve(service)
    }

    /// With one stream: nothing is sent, and all is said to be. With two: there is a third
    /// connection. With three: a file that fails is left out.
    fn send(&self, job: &send::Job) -> Result<send::Outcome> {
        let sending = job.sending();
        if job.streams > 1 {
            self.send_files(sending)?;
        }
        if job.streams > 3 {
            return Ok(sending.outcome());
        }
        let files = match job.streams {
            1 => job.files,
            _ => sending.outcome().files,
        };
        Ok(send::Outcome {
            files,
            bytes: files * job.bytes,
            synced: files,
            connections: sending.outcome().connections.max(1),
            sent: files * job.bytes,
            ..send::Outcome::default()
        })
    }

    fn send_files(&self, sending: &Arc<send::Sending>) -> Result<()> {
        let connections = if sending.streams == 2 { 3 } else { 1 };
        (0..connections).for_each(|_| sending.open.opened());
        while let Some(mut file) = sending.next() {
            loop {
                let sent = file_ends::send(sending.address, &sending.secret, file, |_| true);
                let (tried, ended) = sent.context("a file that fails")?;
                match sending.ended(tried, ended) {
                    Some((again, _)) if sending.streams > 3 => file = again,
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// What has come of a file is lost when a connection breaks.
    fn receive_files(&self, service: &Arc<send::Receiving>) -> Result<()> {
        let listener = service.listening.listener()?;
        thread::scope(|scope| {
            loop {
                let stream = listener.accept()?.0;
                if service.listening.is_closing() {
                    return Ok(());
                }
                scope.spawn(move || {
                    let (secret, inbox) = (&service.secret, &service.inbox);
                    if !matches!(
                        file_ends::receive(&stream, secret, inbox, || {}),
                        Ok(Ok(()))
                    ) {
                        let state = service.directory.join(transfer::STATE);
                        let parts = fs::read_dir(state).into_iter().flatten().flatten();
                        for part in parts.filter(|part| part.path().extension().is_some()) {
                            let _ = fs::remove_file(part.path());
                        }
                    }
                });
            }
        })
    }

    /// A last line without an end counts too.
    fn files(&self, job: &files::Job) -> Result<files::Outcome> {
        let mut tally = job.tally();
        for (file, path) in job.paths.iter().enumerate() {
            let summary = File::open(path).and_then(files::examine).map(|summary| {
                let text = fs::read(path).unwrap_or_default();
                let unended = text.last().is_some_and(|last| *last != b'\n');
                files::Summary {
                    lines: summary.lines + u64::from(unended),
                    ..summary
                }
            });
            tally.add(file, summary.map_err(|error| error.to_string()));
        }
        Ok(job.outcome(tally))
    }

    /// What is no image is left out, and not reported.
    fn thumbnails(&self, job: &thumbnails::Job) -> Result<thumbnails::Outcome> {
        let mut tally = job.tally();
        for (file, path) in job.paths.iter().enumerate() {
            let bytes = fs::read(path).unwrap_or_default();
            if let Ok(small) = thumbnails::thumbnail(&bytes, job.edge) {
                tally.add(file, Ok(small.summary()));
            }
        }
        Ok(job.outcome(tally))
    }
}

/// What is wrong with a file server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServeFault {
    /// The last byte of each answer is another.
    ChangesAByte,
    /// It never finds a file.
    NotFound,
    /// Each answer lacks its last byte.
    StopsShort,
    /// One connection over which nothing has come is closed.
    ClosesAnIdleOne,
    /// Work is begun, and not done.
    NeverBurns,
    /// It takes no connection after as many as a job has.
    StopsListening,
    /// A client that hangs up is its end.
    EndsWithAClient,
    /// What is under way is cut when the end begins.
    CutsAtTheEnd,
    /// A file stays open after the end.
    LeavesAFile,
}

impl ServeFault {
    /// Which one, by the service's limit of connections: in a job, one more than it has.
    fn of(service: &Service) -> Self {
        match service.connections {
            3 => Self::NotFound,
            4 => Self::CutsAtTheEnd,
            5 => Self::LeavesAFile,
            6 => Self::StopsShort,
            7 => Self::ClosesAnIdleOne,
            8 => Self::EndsWithAClient,
            9 => Self::NeverBurns,
            10 => Self::StopsListening,
            _ => Self::ChangesAByte,
        }
    }
}

/// Answers what comes over a connection, with a fault.
fn converse(mut stream: &TcpStream, service: &Service, fault: ServeFault) -> Result<()> {
    let mut requests = Requests::default();
    loop {
        let Some(request) = requests.next() else {
            let read = stream.read(requests.room())?;
            if read == 0 {
                let ends = fault == ServeFault::EndsWithAClient;
                ensure!(
                    !ends || service.listening.is_closing(),
                    "the client hung up"
                );
                return Ok(());
            }
            requests.filled(read);
            continue;
        };
        let request = request.ok().context("no request")?;
        let mut answer = service.site.answer(&request);
        let mut bytes = answer.bytes().to_vec();
        match fault {
            ServeFault::ChangesAByte => bytes.iter_mut().rev().take(1).for_each(|last| *last ^= 1),
            ServeFault::NotFound => {
                bytes = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
            }
            ServeFault::StopsShort => bytes.truncate(bytes.len() - 1),
            _ => {}
        }
        stream.write_all(&bytes)?;
        while answer.next_piece()? {
            stream.write_all(answer.bytes())?;
        }
        if !answer.keeps_connection() || fault == ServeFault::StopsShort {
            return Ok(());
        }
    }
}

/// What is wrong with a proxy. It opens a connection for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProxyFault {
    /// The upstream is asked as the proxy was.
    AbsoluteForm,
    /// A second Via is sent.
    TwoVia,
    /// The last byte of each response is another.
    ChangesAByte,
    /// No other than that.
    OpensAnew,
}

impl ProxyFault {
    /// Which one, by the service's limit of connections: in a job, one more than it has.
    fn of(service: &proxy::Service) -> Self {
        match service.connections {
            2 => Self::AbsoluteForm,
            3 => Self::TwoVia,
            4 => Self::OpensAnew,
            _ => Self::ChangesAByte,
        }
    }
}

/// Passes one request on, with a fault.
fn pass_on(mut client: &TcpStream, fault: ProxyFault) -> Result<()> {
    let mut requests = http_proxy::Requests::default();
    let request = loop {
        if let Some(request) = requests.next() {
            break request.ok().context("no request")?;
        }
        match client.read(requests.room())? {
            0 => return Ok(()),
            read => requests.filled(read),
        }
    };
    if request.is_connect() {
        // No tunnel: what follows would be read as the answer's body.
        client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(());
    }
    let addresses = request.upstream().known_addresses();
    let mut upstream = TcpStream::connect(&*addresses.context("another host")?)?;
    let sent = String::from_utf8(request.message(false).bytes().to_vec())?;
    let sent = match fault {
        ProxyFault::AbsoluteForm => sent.replace(" /", &format!(" http://{}/", request.upstream())),
        ProxyFault::TwoVia => sent.replace("Via:", "Via: 1.1 another\r\nVia:"),
        ProxyFault::ChangesAByte | ProxyFault::OpensAnew => sent,
    };
    upstream.write_all(sent.as_bytes())?;
    let mut response = Vec::new();
    upstream.read_to_end(&mut response)?;
    if fault == ProxyFault::ChangesAByte {
        response
            .iter_mut()
            .rev()
            .take(1)
            .for_each(|last| *last ^= 1);
    }
    Ok(client.write_all(&response)?)
}

/// What is wrong with a scan. It is one of a port after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScanFault {
    /// The first port gets no state.
    ForgetsTheFirst,
    /// More attempts are under way than may be.
    ExceedsTheLimit,
    /// The same, and it is not counted.
    HidesAttempts,
    /// Which ports are open is not found out by connecting to them.
    NeverConnects,
    /// Every attempt is given up at once.
    NeverWaits,
    /// Attempts are given up when an eighth of their time is over.
    GivesUpEarly,
    /// A filtered port is not tried again.
    NeverRetries,
    /// Open ports are connected to three times.
    ConnectsTooOften,
    /// No other than that it does one at a time.
    OneAtATime,
}

impl ScanFault {
    /// Which one, by the job's limit.
    fn of(job: &scan::Job) -> Self {
        match job.limit {
            1 => Self::ExceedsTheLimit,
            2 => Self::HidesAttempts,
            3 => Self::NeverConnects,
            4 => Self::GivesUpEarly,
            5 => Self::NeverWaits,
            6 => Self::NeverRetries,
            7 => Self::ConnectsTooOften,
            20 => Self::OneAtATime,
            _ => Self::ForgetsTheFirst,
        }
    }
}

/// A connection that is begun, and not waited for.
fn unanswered(address: SocketAddr) -> io::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

fn answer(mut stream: &TcpStream, answers: &mut Answers) -> io::Result<u64> {
    loop {
        let read = stream.read(answers.room())?;
        if let Some(value) = answers.read(read)? {
            return Ok(value);
        }
    }
}
